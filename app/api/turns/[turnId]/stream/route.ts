// GET /api/turns/{turnId}/stream?dialect=&after=: follows a turn, live or ended, in any dialect.
import { requestedCursor, turnStream } from "@/app/api/turn-stream";
import { corsRoute } from "@/app/cors-route";
import { requireUser } from "@/lib/auth";
import { withClientStream } from "@/lib/client-streams";
import { dialectQuery, registry } from "@/lib/dialects/registry";
import { AppError } from "@/lib/errors";
import { parseInput } from "@/lib/http";
import { requireTurn } from "@/lib/services/turns/follow-turn";

export const maxDuration = 300;

export const GET = corsRoute<{ turnId: string }>(async (request, { turnId }) => {
  const user = await requireUser(request);
  const { dialect: name } = parseInput(dialectQuery, Object.fromEntries(new URL(request.url).searchParams));
  const dialect = registry.find(name);
  if (!dialect) throw new Error(`the registry has lost ${name}`);
  const cursor = requestedCursor(request);
  const turn = await requireTurn(user.id, turnId);
  if (cursor && cursor.turnId !== turn.id) throw new AppError("not_found", "There is no such position in this turn.");
  return withClientStream(request, user, (stream) => turnStream(request, stream, turn, { dialect, cursor }));
});

export { preflight as OPTIONS } from "@/lib/cors";
