// next-auth's endpoints: session, csrf, callback, signout. Adds what next-auth lacks: a body limit,
// a proper answer while the database is away, and redirects that stay on the requested host.
import { NextRequest } from "next/server";
import { handlers, sessionFailure } from "@/app/session";
import { AppError } from "@/lib/errors";
import { isCrossOrigin, readBytes, route } from "@/lib/http";
import { admit } from "@/lib/route-costs";

/** Room for an email address, a password, a token and a return path. */
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
  // Also for HEAD, which next-auth does not support; `route` drops the body.
  const method = request.method === "POST" ? "POST" : "GET";
  const headers = new Headers(request.headers);
  // With this header the redirect target is in the body, where it would not be pinned to this host.
  headers.delete("x-auth-return-redirect");
  const body = method === "POST" ? await readBytes(request, maxFormBytes) : undefined;
  const forwarded = new NextRequest(url, { method, headers, body });
  const answer = await handler(forwarded);
  const failure = sessionFailure(forwarded);
  if (failure) throw failure;
  const target = answer.headers.get("location");
  if (target === null) return answer;
  const local = new Response(answer.body, answer);
  local.headers.set("location", pathOf(target, url));
  return local;
}

/** Drops the host: it comes from headers that a proxy may forward from anybody. */
function pathOf(target: string, base: string): string {
  const { pathname, search } = new URL(target, base);
  // A leading "//" would name a host.
  return `/${pathname.replace(/^\/+/, "")}${search}`;
}
