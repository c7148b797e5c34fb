// GET /openapi.json: the API description, public and open to every origin.
import { apiDescriptionJson } from "@/app/openapi/document";
import { originOf } from "@/app/openapi/origin";
import { route } from "@/lib/http";
import { admit } from "@/lib/route-costs";

export const dynamic = "force-dynamic";

export const GET = route(async (request) => {
  await admit(request);
  return new Response(await apiDescriptionJson(originOf(request.headers)), {
    headers: {
      "Content-Type": "application/json",
      "Access-Control-Allow-Origin": "*",
      "Cache-Control": "no-cache",
      Vary: "Host, X-Forwarded-Host, X-Forwarded-Proto",
    },
  });
});
