// Every path that is no page and no native endpoint: the dialects' doors, and 404 for the rest.
import { openDoor } from "@/app/dialect-door";
import { keepAlive } from "@/app/keep-alive";
import { preflight } from "@/lib/cors";
import { registry } from "@/lib/dialects/registry";

export const maxDuration = 300;

const open = openDoor(registry, keepAlive);
// Next calls a handler with a second argument of its own.
const door = (request: Request) => open(request);

export { door as DELETE, door as GET, door as PATCH, door as POST, door as PUT, preflight as OPTIONS };
