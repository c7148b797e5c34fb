// next-auth's own endpoints: session, csrf, callback, signout.
import { handlers } from "@/app/session";

export const { GET, POST } = handlers;
