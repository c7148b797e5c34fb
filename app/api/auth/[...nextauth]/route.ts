// next-auth's own endpoints: session, csrf, callback, signout. It would read a body of any size, so that is seen to here.
import { NextRequest } from "next/server";
import { handlers } from "@/app/session";
import { AppError } from "@/lib/errors";
import { isCrossOrigin, readBytes, route } from "@/lib/http";
import { admit } from "@/lib/route-costs";

/** An address, a password, a token and a path back. */
const maxFormBytes = 65_536;

export const GET = route<{ nextauth: string[] }>(async (request) => {
  await admit(request);
  // HEAD as well: next-auth knows no such method, and `route` leaves the body out.
  return handlers.GET(new NextRequest(request.url, { headers: request.headers }));
});

export const POST = route<{ nextauth: string[] }>(async (request) => {
  if (isCrossOrigin(request))
    throw new AppError("forbidden", "This request comes from another site. Only this server's own pages may send it.");
  await admit(request);
  const { url, method, headers } = request;
  const body = await readBytes(request, maxFormBytes);
  return handlers.POST(new NextRequest(url, { method, headers, body }));
});
