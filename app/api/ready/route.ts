// GET /api/ready: readiness for new turns: the database answers and the server is not draining.

import { route } from "@/lib/http";
import { requireReady } from "@/lib/services/turns/drain";

export const dynamic = "force-dynamic";

export const GET = route(async () => {
  await requireReady();
  return Response.json({ status: "ok" }, { headers: { "Cache-Control": "no-store" } });
});
