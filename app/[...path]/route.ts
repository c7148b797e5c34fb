// Catch-all for paths that are neither a page nor a native endpoint: dialect routes, otherwise 404.
import { openDoor } from "@/app/dialect-door";
import { keepAlive } from "@/app/keep-alive";
import { preflight } from "@/lib/cors";
import { registry } from "@/lib/dialects/registry";

export const maxDuration = 300;

const open = openDoor(registry, keepAlive);
// Next passes a second argument to handlers.
const door = (request: Request) => open(request);

export { door as DELETE, door as GET, door as PATCH, door as POST, door as PUT, preflight as OPTIONS };
