// The cost of each route: one table, by which lib/auth.ts and the routes without credentials count
// requests (lib/limits.ts). A route missing here fails test/server/limits.test.ts. Dialects have no
// entry: their handler determines the cost.
import { clientAddress } from "./client-address";
import { type Cost, spend } from "./limits";

/**
 * By method and folder under `app/`. Null: not counted, because load balancers poll it. Sending a
 * turn and signing in have their own limits, counted in lib/services by user and email, and only for
 * what they start.
 */
const costs = {
  "GET /health": null,
  "GET /api/health": null,
  "GET /api/ready": null,
  "GET /api/health/stream": "page",
  "GET /openapi.json": "page",
  "GET /api/auth/[...nextauth]": "page",
  "POST /api/auth/[...nextauth]": "page",
  "POST /api/users": "request",
  "DELETE /api/account": "write",
  "POST /api/account/password": "write",
  "GET /api/account/export": "export",
  "GET /api/sessions": "list",
  "DELETE /api/sessions": "write",
  "DELETE /api/sessions/[sessionId]": "write",
  "GET /api/invitations": "list",
  "POST /api/invitations": "write",
  "DELETE /api/invitations/[invitationId]": "write",
  "GET /api/tokens": "list",
  "POST /api/tokens": "write",
  "DELETE /api/tokens/[tokenId]": "write",
  "POST /api/chat": "request",
  "GET /api/chat/[chatId]/stream": "stream",
  "POST /api/chat/[chatId]/stream": "request",
  "POST /api/chat/[chatId]/stop": "write",
  "GET /api/turns/[turnId]": "read",
  "DELETE /api/turns/[turnId]": "write",
  "GET /api/turns/[turnId]/stream": "stream",
  "GET /api/chats": "list",
  "GET /api/chats?q": "search",
  "POST /api/chats": "write",
  "GET /api/chats/[chatId]": "read",
  "PATCH /api/chats/[chatId]": "write",
  "DELETE /api/chats/[chatId]": "write",
  "GET /api/chats/[chatId]/messages": "list",
  "GET /api/chats/[chatId]/events": "stream",
  "GET /api/documents": "list",
  "POST /api/documents": "upload",
  "GET /api/documents/[documentId]": "read",
  "DELETE /api/documents/[documentId]": "write",
  "GET /api/models": "read",
} as const satisfies Record<string, Cost | null>;

/** A missing route counts as a write. */
const fallback: Cost = "write";

/** For a path that is no route above; a dialect's longest has four segments. */
const maxNamedSegments = 6;

const patterns = Object.entries(costs).map(([name, cost]) => {
  const [method = "", folder = ""] = name.split(" ");
  const [path = "", parameter] = folder.split("?");
  const source = path
    .replace(/\[\.\.\.\w+\]/g, ".+")
    .replace(/\[\w+\]/g, "[^/]+")
    .replaceAll(".json", "\\.json");
  return { method, folder: path, path: new RegExp(`^${source}/?$`), parameter, cost };
});

/** Index of paths without parameters, which are most requests; each looks it up three times. */
const literal = new Map(
  patterns
    .filter(({ folder }) => !folder.includes("["))
    .map(({ folder }) => [folder, patterns.filter(({ path }) => path.test(folder))]),
);

function routesOf(pathname: string): typeof patterns {
  return literal.get(pathname) ?? patterns.filter(({ path }) => path.test(pathname));
}

/** Null if the request is not counted. */
export function costOf(request: Request): Cost | null {
  const { pathname, searchParams } = new URL(request.url);
  const method = request.method === "HEAD" ? "GET" : request.method;
  const matching = routesOf(pathname).filter((route) => route.method === method);
  const exact = matching.find(({ parameter }) => parameter && searchParams.get(parameter));
  const found = exact ?? matching.find(({ parameter }) => !parameter);
  return found ? found.cost : fallback;
}

/** Counts the request by its address and by its route's cost. Throws rate_limited. */
export async function admit(request: Request, user?: { id: string }, cost = costOf(request)): Promise<void> {
  if (cost === null) return;
  await spend(cost === "request" ? ["request"] : ["request", cost], {
    address: clientAddress(request.headers),
    ...(user && { user: user.id }),
  });
}

/** Methods of a native API path, as listed in `Allow`; null for other paths. */
export function methodsOf(pathname: string): string[] | null {
  const methods = new Set(routesOf(pathname).map(({ method }) => method));
  if (methods.size === 0) return null;
  return [...methods, ...(methods.has("GET") ? ["HEAD"] : []), "OPTIONS"];
}

/** For log lines: the route's folder, else the path with possible ids and user text masked. */
export function routeName(method: string, pathname: string): string {
  const [route] = routesOf(pathname);
  const segments = pathname
    .split("/", maxNamedSegments)
    .map((each) => (/^[a-z][a-z0-9.-]{0,19}$|^$/.test(each) ? each : "…"));
  return `${method} ${route?.folder ?? segments.join("/")}`;
}

/** For the test that compares the routes above with those on disk. */
export function listRouteNames(): string[] {
  return Object.keys(costs).filter((name) => !name.includes("?"));
}
