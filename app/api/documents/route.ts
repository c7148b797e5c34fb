// GET /api/documents?cursor=&limit=: a page of the caller's documents. POST: uploads one (multipart, field `file`).
import { requireUser } from "@/lib/auth";
import { AppError } from "@/lib/errors";
import { parseQuery, readForm, route } from "@/lib/http";
import { pageQuery } from "@/lib/list-cursor";
import { documentBytesLimit, ingestDocument, listDocuments } from "@/lib/retrieval/ingest";

/** Multipart overhead around one file. */
const multipartBytes = 65_536;

export const GET = route(async (request) => {
  const user = await requireUser(request);
  return Response.json(await listDocuments(user.id, parseQuery(request, pageQuery)));
});

export const POST = route(async (request) => {
  const user = await requireUser(request);
  const file = await readFile(request);
  const document = await ingestDocument(user.id, {
    filename: file.name,
    bytes: new Uint8Array(await file.arrayBuffer()),
  });
  return Response.json(document, { status: 201 });
});

async function readFile(request: Request): Promise<File> {
  const type = request.headers.get("content-type") ?? "";
  if (!type.toLowerCase().startsWith("multipart/form-data"))
    throw new AppError("bad_request", "file: send the document as multipart/form-data in the field `file`");
  const file = (await readForm(request, documentBytesLimit + multipartBytes)).get("file");
  if (!(file instanceof File)) throw new AppError("bad_request", "file: is required");
  return file;
}
