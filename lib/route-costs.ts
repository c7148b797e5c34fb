// What each route costs: one table, by which lib/auth.ts and the routes without credentials count requests (lib/limits.ts).
// A route that is not in it fails test/server/limits.test.ts. Dialects have no entry: their door tells what was asked for.
import { clientAddress } from "./client-address";
import { type Cost, spend } from "./limits";

/**
 * By method and folder under `app/`. Null: not counted, because balancers ask it all the time. Sending a turn and signing in
 * have limits of their own, which the verbs of lib/chats count: by the user and the email, and only what they begin.
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

/** A route that is missing above is counted as what changes something. */
const fallback: Cost = "write";

/** Of a path that is no route above; a dialect's longest has four. */
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

/** Of paths without parameters, which most requests are for: asked for three times in each. */
const literal = new Map(
  patterns
    .filter(({ folder }) => !folder.includes("["))
    .map(({ folder }) => [folder, patterns.filter(({ path }) => path.test(folder))]),
);

function routesOf(pathname: string): typeof patterns {
  return literal.get(pathname) ?? patterns.filter(({ path }) => path.test(pathname));
}

/** Null for a request that is not counted. */
export function costOf(request: Request): Cost | null {
  const { pathname, searchParams } = new URL(request.url);
  const method = request.method === "HEAD" ? "GET" : request.method;
  const matching = routesOf(pathname).filter((route) => route.method === method);
  const exact = matching.find(({ parameter }) => parameter && searchParams.get(parameter));
  const found = exact ?? matching.find(({ parameter }) => !parameter);
  return found ? found.cost : fallback;
}

/** Counts the request: by its address, and by what its route costs. Throws rate_limited. */
export async function admit(request: Request, user?: { id: string }, cost = costOf(request)): Promise<void> {
  if (cost === null) return;
  await spend(cost === "request" ? ["request"] : ["request", cost], {
    address: clientAddress(request.headers),
    ...(user && { user: user.id }),
  });
}

/** The methods that a path of the native API takes, as `Allow` names them; null for any other path. */
export function methodsOf(pathname: string): string[] | null {
  const methods = new Set(routesOf(pathname).map(({ method }) => method));
  if (methods.size === 0) return null;
  return [...methods, ...(methods.has("GET") ? ["HEAD"] : []), "OPTIONS"];
}

/** For a log line: the folder of a route above, else the path without what may be an id or somebody's words. */
export function routeName(method: string, pathname: string): string {
  const [route] = routesOf(pathname);
  const segments = pathname
    .split("/", maxNamedSegments)
    .map((each) => (/^[a-z][a-z0-9.-]{0,19}$|^$/.test(each) ? each : "…"));
  return `${method} ${route?.folder ?? segments.join("/")}`;
}

/** The routes above, for the test that compares them with those on disk. */
export function listRouteNames(): string[] {
  return Object.keys(costs).filter((name) => !name.includes("?"));
}
