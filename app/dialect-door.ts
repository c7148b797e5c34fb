// One door for all dialects: which route is meant, who is calling, what is asked; then the same verbs as for the native
// endpoints. What a format looks like is its own file's business (docs/protocol.md §6); nothing of one may come here.
import { v4 as uuidv4, v7 as uuidv7 } from "uuid";
import { requestedCursor, turnStream } from "@/app/api/turn-stream";
import { pageNotFound } from "@/app/dialect-not-found";
import { requireUser, type User } from "@/lib/auth";
import { requireChatId } from "@/lib/chats/chats";
import { findFollowed, requireTurn, type Turn } from "@/lib/chats/follow";
import { listStoredMessages } from "@/lib/chats/messages";
import { type KeepAlive, startTurn } from "@/lib/chats/start";
import { idempotencyKey, type TurnRequest } from "@/lib/chats/turn-request";
import { wholeTurn } from "@/lib/chats/whole";
import { type ClientStream, withClientStream } from "@/lib/client-streams";
import { refuseForeignCookie, withCors } from "@/lib/cors";
import type { Ask, Dialect, ListRoute, TurnRoute } from "@/lib/dialects/contract";
import type { Match, Registry } from "@/lib/dialects/registry";
import { AppError } from "@/lib/errors";
import { parseInput, readJson, route } from "@/lib/http";
import { listModels } from "@/lib/models/catalogue";
import { type ChatReference, chatReference } from "@/lib/turn/turn-options";

type Door = (request: Request) => Promise<Response>;
type Call<R> = { dialect: Dialect; route: R; params: Record<string, string>; request: Request; user: User };

/** The handler of all paths of these dialects. Its answers, errors too, carry the CORS headers. */
export function openDoor(registry: Registry, keepAlive: KeepAlive): Door {
  return async (request) => {
    const match = registry.match(new URL(request.url).pathname);
    if (!match && wantsPage(request)) return pageNotFound();
    const answer = route(() => serve(match, request, keepAlive), match?.dialect.failure);
    return withCors(request, await answer(request, { params: Promise.resolve({}) }));
  };
}

async function serve(match: Match | null, request: Request, keepAlive: KeepAlive): Promise<Response> {
  if (!match) throw new AppError("not_found", "There is nothing at this address.");
  const { dialect, route, params } = match;
  refuseForeignCookie(request);
  // Some clients repeat their POST to reconnect: one that names an event it has seen must not start a second turn.
  const resumes =
    route.kind === "turn" &&
    (request.method === "GET" || (request.method === "POST" && requestedCursor(request) !== null));
  const user = await requireUser(request, route.kind !== "turn" ? "list" : resumes ? "stream" : "request");
  if (route.owner && params[route.owner] !== user.id) throw new AppError("forbidden", "Access denied");
  const call = { dialect, params, request, user };
  if (route.kind === "turn") {
    if (resumes && route.streams) return follow({ ...call, route });
    if (request.method === "POST") return send({ ...call, route }, keepAlive);
  } else if (request.method === "GET") {
    return list({ ...call, route });
  }
  throw methodNotAllowed(request, route);
}

function methodNotAllowed({ method }: Request, route: TurnRoute | ListRoute): AppError {
  const allow = route.kind !== "turn" ? "GET, OPTIONS" : route.streams ? "GET, POST, OPTIONS" : "POST, OPTIONS";
  return new AppError("method_not_allowed", `This address does not take ${method}. It takes ${allow}.`, { allow });
}

async function send({ dialect, route, params, request, user }: Call<TurnRoute>, keepAlive: KeepAlive) {
  const ask = route.ask({
    body: await readJson(request, route.body),
    accept: request.headers.get("accept")?.toLowerCase() ?? "",
  });
  const options = readerOptions(route, request);
  const key = idempotencyKey(request);
  const asked = await turnRequest(user.id, route, params, ask, key);
  return withClientStream(request, user, async (stream) => {
    const turn = await startTurn(user.id, asked, keepAlive);
    return ask.stream && route.streams
      ? turnStream(request, stream, turn, { dialect, ...options })
      : whole({ dialect, route, turn, stream });
  });
}

async function turnRequest(
  userId: string,
  route: TurnRoute,
  params: Record<string, string>,
  { chat = chatInPath(route, params), say, model, searchMode, documentIds, metadata, view, listed = false }: Ask,
  key: string | null,
): Promise<TurnRequest> {
  const id = uuidv7();
  const makes = chat && "number" in chat && route.makesNumbers;
  const shared = {
    chatId: chat && !makes ? await requireChatId(userId, chat) : id,
    chatIsNew: !chat,
    ...(makes && { chatNumber: chat.number }),
    clientKey: key ?? id,
    model,
    searchMode,
    documentIds,
    view,
  };
  if (typeof say !== "string") return { ...shared, trigger: "answer-prompt", prompt: say, listed };
  const message = { id, parts: [{ type: "text" as const, text: say }] };
  return { ...shared, trigger: "submit-message", message, metadata };
}

async function whole({
  dialect,
  route,
  turn,
  stream,
}: Pick<Call<TurnRoute>, "dialect" | "route"> & { turn: Turn; stream: ClientStream }) {
  const answer = await wholeTurn(turn, stream);
  const headers = { "Cache-Control": "no-store", "X-Turn-Id": turn.id, "X-Chat-Id": turn.chatId };
  const { error } = answer.metadata;
  if (!error) return Response.json(route.whole?.(answer), { headers });
  const { code, message } = error;
  const failure = { status: 502, code, message, requestId: uuidv4() };
  return Response.json(dialect.failure?.(failure) ?? { error: { code, message, requestId: failure.requestId } }, {
    status: failure.status,
    headers: { ...headers, "X-Request-Id": failure.requestId },
  });
}

async function follow({ dialect, route, params, request, user }: Call<TurnRoute>): Promise<Response> {
  const cursor = requestedCursor(request);
  const chat = chatInPath(route, params);
  const options = readerOptions(route, request);
  let turn: Turn | null;
  if (chat) turn = await findFollowed(user.id, await requireChatId(user.id, chat), cursor);
  else if (cursor) turn = await requireTurn(user.id, cursor.turnId);
  else throw new AppError("bad_request", "after: send the `id` of the last event you received, or POST to begin.");
  if (!turn) return new Response(null, { status: 204 });
  const followed = turn;
  return withClientStream(request, user, (stream) =>
    turnStream(request, stream, followed, { dialect, cursor, ...options }),
  );
}

async function list({ route, params, user }: Call<ListRoute>): Promise<Response> {
  if (route.kind === "models") return Response.json(route.list(await listModels()));
  const chat = chatInPath(route, params);
  if (!chat) throw new Error(`the route ${route.path} names no chat`);
  return Response.json(route.list(await listStoredMessages(user.id, await requireChatId(user.id, chat))));
}

function chatInPath({ chat }: TurnRoute | ListRoute, params: Record<string, string>): ChatReference | undefined {
  return chat === undefined ? undefined : parseInput(chatReference, params[chat]);
}

function readerOptions({ pacing, plainText }: TurnRoute, request: Request) {
  const query = Object.fromEntries(new URL(request.url).searchParams);
  const accept = request.headers.get("accept")?.toLowerCase() ?? "";
  const plain = plainText && accept.includes("text/plain") && !accept.includes("text/event-stream");
  return {
    ...(pacing && { pacing: parseInput(pacing, query) }),
    ...(plain && { contentType: "text/plain; charset=utf-8" }),
  };
}

/** A person followed a link; a program gets its error as JSON. */
function wantsPage(request: Request): boolean {
  return request.method === "GET" && (request.headers.get("accept") ?? "").includes("text/html");
}
