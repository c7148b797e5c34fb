// The route handler of all dialects: matches the route, authenticates, parses, then calls the same
// verbs as the native endpoints. Nothing specific to one format may come here; each lives in its
// own file (docs/protocol.md §6).
import { v7 as uuidv7 } from "uuid";
import { answerCost, serveAnswer } from "@/app/answer-handler";
import { refusedCall, refusedTurn, requestedCursor, turnStream } from "@/app/api/turn-stream";
import { pageNotFound } from "@/app/dialect-not-found";
import { requireUser, type User } from "@/lib/auth";
import { type ClientStream, withClientStream } from "@/lib/client-streams";
import { refuseForeignCookie, withCors } from "@/lib/cors";
import type { Dialect, EmbeddingRoute, ListRoute, ParsedRequest, Route, TurnRoute } from "@/lib/dialects/dialect";
import { type Match, methodsOf, type Registry } from "@/lib/dialects/registry";
import { env } from "@/lib/env";
import { AppError } from "@/lib/errors";
import { parseInput, readJson, route, turnHeaders } from "@/lib/http";
import { type Cost, spend } from "@/lib/limits";
import { logger } from "@/lib/logger";
import { listModels, requireModel } from "@/lib/models/catalogue";
import { embedTexts } from "@/lib/models/embeddings";
import { classifyFailure } from "@/lib/models/failure";
import { failureFacts } from "@/lib/models/failure-facts";
import { findChatId, requireChatId } from "@/lib/services/chats/chats";
import { listStoredMessages } from "@/lib/services/chats/messages";
import { collectAnswer } from "@/lib/services/turns/collect-answer";
import { findTurnToFollow, findUnattendedTurn, requireTurn, type Turn } from "@/lib/services/turns/follow-turn";
import { loadTurnContext } from "@/lib/services/turns/load-turn-context";
import { type KeepAlive, startTurn } from "@/lib/services/turns/start";
import { stopAfterDisconnect } from "@/lib/services/turns/stop";
import { readAnswer, resolveReferences } from "@/lib/services/turns/stored-answers";
import { idempotencyKey, type TurnRequest } from "@/lib/services/turns/turn-request";
import { type ChatReference, chatReference } from "@/lib/turn/turn-options";

/** `pathname` overrides the request's own path, for aliases. */
type DialectHandler = (request: Request, pathname?: string) => Promise<Response>;
type Call<R> = { dialect: Dialect; route: R; params: Record<string, string>; request: Request; user: User };

/** Handles all paths of these dialects. All answers, errors included, carry CORS headers. */
export function handleDialect(registry: Registry, keepAlive: KeepAlive): DialectHandler {
  return async (request, pathname = new URL(request.url).pathname) => {
    const match = registry.match(pathname);
    if (!match && wantsPage(request)) return pageNotFound();
    const owner = match?.dialect ?? registry.owner(pathname);
    const answer = route(
      () => (match ? serve(match, request, keepAlive) : throwNotFound(owner)),
      owner?.failure,
      owner?.statusOf,
    );
    return withCors(request, await answer(request, { params: Promise.resolve({}) }));
  };
}

function throwNotFound(owner: Dialect | null): never {
  const details = owner ? { details: { reason: "unknown_url" } } : {};
  throw new AppError("not_found", "There is nothing at this address.", details);
}

async function serve(match: Match, request: Request, keepAlive: KeepAlive): Promise<Response> {
  const { dialect, route, params } = match;
  refuseForeignCookie(request);
  // Some clients reconnect by repeating their POST: one with a cursor must not start a turn.
  const resumes =
    route.kind === "turn" &&
    (request.method === "GET" || (request.method === "POST" && requestedCursor(request) !== null));
  const user = await requireUser(request, costOf(route, request, resumes));
  if (route.owner && params[route.owner] !== user.id) throw new AppError("forbidden", "Access denied");
  const call = { dialect, params, request, user };
  if (!methodsOf(route).some((method) => method === request.method)) throw methodNotAllowed(request, route);
  switch (route.kind) {
    case "turn":
      return resumes ? follow({ ...call, route }) : send({ ...call, route }, keepAlive);
    case "messages":
    case "models":
    case "model":
      return list({ ...call, route });
    case "embeddings":
      return embed({ ...call, route });
    default:
      return serveAnswer({ ...call, route });
  }
}

function costOf(route: Route, request: Request, resumes: boolean): Cost {
  switch (route.kind) {
    case "turn":
      return resumes ? "stream" : "request";
    case "embeddings":
      return "request";
    case "messages":
    case "models":
    case "model":
      return "list";
    default:
      return answerCost(route, request);
  }
}

function methodNotAllowed({ method }: Request, route: Route): AppError {
  const allow = [...methodsOf(route), "OPTIONS"].join(", ");
  return new AppError("method_not_allowed", `This address does not accept ${method}. It accepts ${allow}.`, { allow });
}

async function send({ dialect, route, params, request, user }: Call<TurnRoute>, keepAlive: KeepAlive) {
  const body = await readJson(request, route.body);
  const references = route.references
    ? await resolveReferences(user.id, route.references(body))
    : { messages: new Map() };
  const messageId = uuidv7();
  const accept = request.headers.get("accept")?.toLowerCase() ?? "";
  const parsed = route.parseRequest({ body, references, accept, messageId });
  const { stream: streams, background = false, stopsWithClient } = parsed;
  const options = readerOptions(route, request);
  const key = idempotencyKey(request);
  const turnRequest = await identify(user.id, route, params, parsed, key, messageId);
  // Clients without idempotency keys repeat their question like this after a failed stream.
  const mayBeLost = !streams && key === null && turnRequest.chatIsNew && turnRequest.trigger === "submit-message";
  return withClientStream(request, user, async (stream) => {
    const lost = mayBeLost ? await findUnattendedTurn(user.id, turnRequest) : null;
    const turn = lost ?? (await startTurn(user.id, turnRequest, keepAlive));
    if (stopsWithClient && !key) stream.own({ close: () => stream.abandoned && keepAlive(stopAfterDisconnect(turn)) });
    if (streams && route.streams)
      return turnStream(request, stream, turn, { dialect, refuses: !background, ...options });
    return background ? currentAnswer(route, turn) : fullAnswer({ dialect, route, turn, stream });
  });
}

/** Adds the chat and the key. `id` is new. */
async function identify(
  userId: string,
  route: TurnRoute,
  params: Record<string, string>,
  { chat = chatInPath(route, params), request, stopsWithClient }: ParsedRequest,
  key: string | null,
  id: string,
): Promise<TurnRequest> {
  const createsByNumber = chat && "number" in chat && route.createsChatByNumber;
  const identity = {
    chatId: chat && !createsByNumber ? await requireChatId(userId, chat) : id,
    chatIsNew: !chat,
    ...(createsByNumber && { chatNumber: chat.number }),
    clientKey: key ?? id,
    keyless: key === null,
  };
  if (request.trigger !== "answer-prompt" || !stopsWithClient || key) return { ...request, ...identity };
  return { ...request, ...identity, prompt: { ...request.prompt, repeats: false } };
}

/** The turn as it is now, also when it ended before the request was repeated. */
async function currentAnswer(route: TurnRoute, turn: Turn): Promise<Response> {
  const answer =
    turn.state === "running"
      ? route.runningResponse?.(await loadTurnContext(turn, "turn"))
      : route.fullResponse?.(await readAnswer(turn));
  return Response.json(answer, { headers: headersOf(turn) });
}

function headersOf(turn: Turn) {
  return { "Cache-Control": "no-store", ...turnHeaders(turn) };
}

async function fullAnswer({
  dialect,
  route,
  turn,
  stream,
}: Pick<Call<TurnRoute>, "dialect" | "route"> & { turn: Turn; stream: ClientStream }) {
  const answer = await collectAnswer(turn, stream);
  const headers = headersOf(turn);
  const { error } = answer.metadata;
  if (!error) return Response.json(route.fullResponse?.(answer), { headers });
  return refusedTurn(dialect, turn, error);
}

async function follow({ dialect, route, params, request, user }: Call<TurnRoute>): Promise<Response> {
  const cursor = requestedCursor(request);
  const chat = chatInPath(route, params);
  const options = readerOptions(route, request);
  let turn: Turn | null;
  // A page may open its stream before the first question.
  const chatId = chat && (cursor ? await requireChatId(user.id, chat) : await findChatId(user.id, chat));
  if (chat) turn = chatId ? await findTurnToFollow(user.id, chatId, cursor) : null;
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
  if (route.kind === "model") {
    const { id, provider } = await requireModel(params[route.parameter]);
    return Response.json(route.show({ id, provider, ready: true }));
  }
  const chat = chatInPath(route, params);
  if (!chat) throw new Error(`the route ${route.path} names no chat`);
  return Response.json(route.list(await listStoredMessages(user.id, await requireChatId(user.id, chat))));
}

/** Stores nothing, but counts as a turn because it calls a provider. */
async function embed({ dialect, route, request, user }: Call<EmbeddingRoute>): Promise<Response> {
  const body = await readJson(request, route.body);
  const input = route.parseRequest(body, env().MAX_TURN_CHARACTERS);
  await spend(["turn"], { user: user.id });
  try {
    const embedded = await embedTexts(input, user.guest, request.signal);
    return Response.json(route.show(embedded, body), { headers: { "Cache-Control": "no-store" } });
  } catch (error) {
    if (AppError.is(error) || request.signal.aborted) throw error;
    logger.warn({ err: error, userId: user.id, reported: failureFacts(error) }, "embeddings failed");
    return refusedCall(dialect, classifyFailure(error));
  }
}

function chatInPath({ chat }: Route, params: Record<string, string>): ChatReference | undefined {
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

/** A browser that followed a link gets a page; a program gets a JSON error. */
function wantsPage(request: Request): boolean {
  return request.method === "GET" && (request.headers.get("accept") ?? "").includes("text/html");
}
