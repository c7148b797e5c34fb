import { streamText, type ToolSet, tool } from "ai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { parseEnv } from "@/lib/env";
import { type Provider, type Script, says, startProvider } from "@/test/provider";
import { buildCatalogue, type ReadyModel } from "./catalogue";

let provider: Provider;
beforeAll(async () => {
  provider = await startProvider();
});
afterAll(() => provider.close());

const inputSchema = z.object({});
const optional = { own: tool({ inputSchema, providerOptions: { rivulet: { optional: true } } }) };
const brought = { theirs: tool({ inputSchema }) };

/** A model nobody has asked yet. */
function freshModel(): ReadyModel["model"] {
  return buildCatalogue(parseEnv({ OLLAMA_BASE_URL: provider.url })).require().model;
}

/** Its answer, or what it failed with, and the names of the tools in each request it took. */
async function ask(prompt: string, tools: ToolSet, model = freshModel(), ...scripts: Script[]) {
  provider.on(prompt, ...scripts);
  const before = provider.requests.length;
  const result = streamText({ model, prompt, tools, maxRetries: 0, onError: () => {} });
  const answer = await result.text.then(
    (text) => text,
    () => null,
  );
  const offered = provider.requests
    .slice(before)
    .map(({ body }) => ((body.tools ?? []) as { function: { name: string } }[]).map((each) => each.function.name));
  return { answer, offered };
}

const refusing = (status: number, message: string): Script => [{ answer: status, body: { error: { message } } }];
const noTools = refusing(400, "registry.ollama.ai/library/gemma3:4b does not support tools");

describe("a model that takes no tools", () => {
  it("answers without them, and is not offered them again", async () => {
    const model = freshModel();
    expect(await ask("first", optional, model, noTools, says("Yes."))).toEqual({
      answer: "Yes.",
      offered: [["own"], []],
    });
    expect(await ask("second", optional, model, says("Again."))).toEqual({ answer: "Again.", offered: [[]] });
  });

  it.each([
    [400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'],
    [500, "tools param requires --jinja flag"],
  ])("is known by what other servers say too: %i %s", async (status, message) => {
    expect(await ask(message, optional, freshModel(), refusing(status, message), says("Yes."))).toEqual({
      answer: "Yes.",
      offered: [["own"], []],
    });
  });

  it("fails for a client that brought its own", async () => {
    expect(await ask("theirs", brought, freshModel(), noTools)).toEqual({ answer: null, offered: [["theirs"]] });
  });

  it("is asked with a client's tools once ours are away", async () => {
    const both = { ...optional, ...brought };
    expect(await ask("both", both, freshModel(), noTools, says("Yes."))).toEqual({
      answer: "Yes.",
      offered: [["own", "theirs"], ["theirs"]],
    });
  });
});

it.each([
  ["another reason", refusing(400, "the prompt is too long")],
  ["a wrong key", refusing(401, "no tools for you")],
])("tools stay after a refusal for %s", async (name, script) => {
  const model = freshModel();
  expect(await ask(name, optional, model, script)).toEqual({ answer: null, offered: [["own"]] });
  expect(await ask("afterwards", optional, model, says("Yes."))).toEqual({ answer: "Yes.", offered: [["own"]] });
});

it("what is wrong with the second attempt too is not laid on the tools", async () => {
  const model = freshModel();
  expect(await ask("twice", optional, model, noTools, noTools)).toEqual({ answer: null, offered: [["own"], []] });
  expect(await ask("later", optional, model, says("Yes."))).toEqual({ answer: "Yes.", offered: [["own"]] });
});
