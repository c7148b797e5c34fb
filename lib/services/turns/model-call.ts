// Translates the client's call options into the model provider's terms. Throws bad_request naming a
// field the provider does not support.
import { AppError } from "@/lib/errors";
import type { ReadyModel } from "@/lib/models/catalogue";
import { callOptions } from "@/lib/models/request-fields";
import type { StoredRequest } from "./stored-request";

export function modelCall(
  { fields, completion, model }: Pick<ReadyModel, "fields" | "completion" | "model">,
  { prompt, call }: Pick<StoredRequest, "prompt" | "call">,
) {
  const request = call ?? prompt ?? { settings: {} };
  const completes = prompt?.completes;
  if (completes && completion)
    return {
      model: completion(),
      call: callOptions(fields, { ...request, fields: { ...request.fields, ...completes } }),
    };
  if (completes?.suffix)
    throw new AppError("bad_request", "suffix: the provider of this model does not accept it. Leave it out.");
  return { model, call: callOptions(fields, request) };
}
