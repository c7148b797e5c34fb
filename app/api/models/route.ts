// GET /api/models: the catalogue and the default model.
import { requireUser } from "@/lib/auth";
import { route } from "@/lib/http";
import { defaultModelId, listModels } from "@/lib/models/catalogue";

export const GET = route(async (request) => {
  await requireUser(request);
  return Response.json({ models: await listModels(), default: defaultModelId() });
});
