// Native routes open to pages of CORS_ORIGINS: following and stopping a turn that such a page
// started in a dialect.
import { refuseForeignCookie, withCors } from "@/lib/cors";
import { route } from "@/lib/http";

type Handler<Params> = Parameters<typeof route<Params>>[0];

/** Like `route`, for cross-origin callers, which must send a token: their cookie is refused. */
export function corsRoute<Params>(handler: Handler<Params>): ReturnType<typeof route<Params>> {
  const answer = route<Params>((request, params) => {
    refuseForeignCookie(request);
    return handler(request, params);
  });
  return async (request, context) => withCors(request, await answer(request, context));
}
