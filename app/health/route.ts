import { GET as health } from "@/app/api/health/route";
import { preflight, withCors } from "@/lib/cors";

export const dynamic = "force-dynamic";

export const GET = (request: Request): Response => withCors(request, health());
export const OPTIONS = preflight;
