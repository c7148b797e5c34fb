// next-auth's own endpoints: session, csrf, callback, signout. What it does not see to itself is seen to here: the size of a
// body, a database that is away, and that a redirect stays on the host that was asked.
import { NextRequest } from "next/server";
import { handlers, sessionFailure } from "@/app/session";
import { AppError } from "@/lib/errors";
import { isCrossOrigin, readBytes, route } from "@/lib/http";
import { admit } from "@/lib/route-costs";

/** An address, a password, a token and a path back. */
const maxFormBytes = 65_536;

export const GET = route<{ nextauth: string[] }>((request) => serve(request, handlers.GET));

export const POST = route<{ nextauth: string[] }>(async (request) => {
  if (isCrossOrigin(request))
    throw new AppError("forbidden", "This request comes from another site. Only this server's own pages may send it.");
  return serve(request, handlers.POST);
});

async function serve(request: Request, handler: (request: NextRequest) => Promise<Response>): Promise<Response> {
  await admit(request);
  const { url } = request;
  // HEAD as well: next-auth knows no such method, and `route` leaves the body out.
  const method = request.method === "POST" ? "POST" : "GET";
  const headers = new Headers(request.headers);
  // It would answer with the address in the body, where nothing holds it to this host.
  headers.delete("x-auth-return-redirect");
  const body = method === "POST" ? await readBytes(request, maxFormBytes) : undefined;
  const asked = new NextRequest(url, { method, headers, body });
  const answer = await handler(asked);
  const failure = sessionFailure(asked);
  if (failure) throw failure;
  const target = answer.headers.get("location");
  if (target === null) return answer;
  const local = new Response(answer.body, answer);
  local.headers.set("location", pathOf(target, url));
  return local;
}

/** The host comes from headers that a proxy may pass on from anybody. */
function pathOf(target: string, base: string): string {
  const { pathname, search } = new URL(target, base);
  // Two slashes would begin a host.
  return `/${pathname.replace(/^\/+/, "")}${search}`;
}
