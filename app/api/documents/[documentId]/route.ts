// GET and DELETE of one document.
import { requireUser } from "@/lib/auth";
import { route } from "@/lib/http";
import { deleteDocument, requireDocument } from "@/lib/retrieval/ingest";

type Params = { documentId: string };

export const GET = route<Params>(async (request, { documentId }) => {
  const user = await requireUser(request);
  return Response.json(await requireDocument(user.id, documentId));
});

export const DELETE = route<Params>(async (request, { documentId }) => {
  const user = await requireUser(request);
  await deleteDocument(user.id, documentId);
  return new Response(null, { status: 204 });
});
