// Native routes that pages of CORS_ORIGINS may call: what follows and stops a turn that such a page began in a dialect.
import { refuseForeignCookie, withCors } from "@/lib/cors";
import { route } from "@/lib/http";

type Handler<Params> = Parameters<typeof route<Params>>[0];

/** As `route`. A page of another origin must send a token: a session cookie does not count there. */
export function corsRoute<Params>(handler: Handler<Params>): ReturnType<typeof route<Params>> {
  const answer = route<Params>((request, params) => {
    refuseForeignCookie(request);
    return handler(request, params);
  });
  return async (request, context) => withCors(request, await answer(request, context));
}
