// Every path that is no page and no native endpoint: the dialects' doors, and 404 for the rest.
import { after } from "next/server";
import { openDoor } from "@/app/dialect-door";
import { preflight } from "@/lib/cors";
import { registry } from "@/lib/dialects/registry";

export const maxDuration = 300;

const door = openDoor(registry, (work) => after(() => work));

export { door as DELETE, door as GET, door as PATCH, door as POST, door as PUT, preflight as OPTIONS };
