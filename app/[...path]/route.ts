// Catch-all for paths that are neither a page nor a native endpoint: dialect routes, otherwise 404.
import { handleDialect } from "@/app/dialect-handler";
import { keepAlive } from "@/app/keep-alive";
import { preflight } from "@/lib/cors";
import { registry } from "@/lib/dialects/registry";

export const maxDuration = 300;

const handle = handleDialect(registry, keepAlive);
// Next passes a second argument to handlers.
const handler = (request: Request) => handle(request);

export { handler as DELETE, handler as GET, handler as PATCH, handler as POST, handler as PUT, preflight as OPTIONS };
