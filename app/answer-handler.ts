// Reads, streams, stops and deletes one answer by its id in a dialect (docs/protocol.md §6.7).
import { z } from "zod";
import { requestedCursor, turnStream } from "@/app/api/turn-stream";
import type { User } from "@/lib/auth";
import { withClientStream } from "@/lib/client-streams";
import type { AnswerRoute, Dialect } from "@/lib/dialects/dialect";
import { AppError } from "@/lib/errors";
import { parseInput, turnHeaders } from "@/lib/http";
import type { Cost } from "@/lib/limits";
import { loadTurnContext } from "@/lib/services/turns/load-turn-context";
import { stopTurn } from "@/lib/services/turns/stop";
import { deleteAnswer, listInput, readAnswer, requireRetrievableTurn } from "@/lib/services/turns/stored-answers";
import { eventStreamHeaders } from "@/lib/sse";

export type AnswerCall = {
  dialect: Dialect;
  route: AnswerRoute;
  params: Record<string, string>;
  request: Request;
  user: User;
};

export const answerQuery = z.object({
  stream: z.enum(["true", "false"]).optional().describe("Streams the response, even while it is being generated."),
  starting_after: z.coerce
    .number()
    .int()
    .min(0)
    .max(2 ** 31)
    .optional()
    .describe("With `stream`: only events after this sequence number."),
});

export function answerCost(route: AnswerRoute, request: Request): Cost {
  if (route.kind === "input") return "list";
  if (request.method !== "GET") return "write";
  return new URL(request.url).searchParams.get("stream") === "true" ? "stream" : "read";
}

export async function serveAnswer(call: AnswerCall): Promise<Response> {
  const { route, params, request, user } = call;
  const id = params[route.turn] ?? "";
  const turnId = route.turnIdOf(id);
  const query = Object.fromEntries(new URL(request.url).searchParams);
  if (request.method === "DELETE") {
    await deleteAnswer(user.id, turnId);
    return json(route.deleted?.(id));
  }
  const { id: kept } = await requireRetrievableTurn(user.id, turnId);
  if (route.kind === "stop") await stopTurn(user.id, kept);
  if (route.kind === "input") {
    const page = route.query && parseInput(route.query, query);
    return json(route.list?.(await listInput(await requireRetrievableTurn(user.id, kept)), page));
  }
  const { stream, starting_after: afterFrame } = parseInput(answerQuery, query);
  if (stream === "true") return follow(call, kept, afterFrame);
  const turn = await requireRetrievableTurn(user.id, kept);
  const names = turnHeaders(turn);
  if (turn.state === "running") return json(route.bodies.runningResponse(await loadTurnContext(turn, "turn")), names);
  return json(route.bodies.fullResponse(await readAnswer(turn)), names);
}

async function follow({ dialect, request, user }: AnswerCall, turnId: string, afterFrame?: number) {
  const turn = await requireRetrievableTurn(user.id, turnId);
  // The replay of a pruned turn numbers its events differently.
  if (afterFrame !== undefined && turn.prunedAt)
    throw new AppError(
      "not_found",
      "The stream of this answer has expired. Read the complete answer, without `stream`.",
    );
  const cursor = requestedCursor(request);
  if (cursor && cursor.turnId !== turn.id) throw new AppError("not_found", "There is no such position in this answer.");
  const answer = await withClientStream(request, user, (stream) =>
    turnStream(request, stream, turn, { dialect, cursor, pacing: { ...(afterFrame !== undefined && { afterFrame }) } }),
  );
  if (answer.status !== 204) return answer;
  // These clients expect an empty stream and fail on a response without a body.
  return new Response(": open\n", { headers: { ...eventStreamHeaders, ...Object.fromEntries(answer.headers) } });
}

function json(body: unknown, headers: Record<string, string> = {}): Response {
  return Response.json(body, { headers: { "Cache-Control": "no-store", ...headers } });
}
