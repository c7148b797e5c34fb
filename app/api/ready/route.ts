// GET /api/ready: the server takes new turns: the database answers and it is not draining.
import { pool } from "@/db/client";
import { isDraining } from "@/lib/chats/drain";
import { AppError } from "@/lib/errors";
import { route } from "@/lib/http";

export const dynamic = "force-dynamic";

export const GET = route(async () => {
  if (isDraining()) throw new AppError("unavailable", "The server is shutting down.", { retryAfter: 2 });
  await pool().sql`select 1`;
  return Response.json({ status: "ok" }, { headers: { "Cache-Control": "no-store" } });
});
