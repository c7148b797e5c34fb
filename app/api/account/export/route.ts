// GET /api/account/export: all of the caller's stored data as a JSON Lines download.
import { requireUser } from "@/lib/auth";
import { route } from "@/lib/http";
import { exportAccount } from "@/lib/services/users/export";

export const maxDuration = 300;

export const GET = route(async (request) => {
  const user = await requireUser(request);
  return new Response(bytesOf(exportAccount(user.id)), {
    headers: {
      "Content-Type": "application/x-ndjson; charset=utf-8",
      "Content-Disposition": 'attachment; filename="rivulet-export.ndjson"',
      "Cache-Control": "no-store",
    },
  });
});

/** Pull-based: reads the next page once the client has taken the previous one. */
function bytesOf(lines: AsyncGenerator<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await lines.next();
        if (done) controller.close();
        else controller.enqueue(encoder.encode(value));
      },
      cancel: () => void lines.return(undefined),
    },
    { highWaterMark: 0 },
  );
}
