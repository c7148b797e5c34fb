// assistant-ui, unmodified: its runtime over `useChat`, with its own transport, as its documentation sets it up.
import { expect, test } from "vitest";
import { gated, gateOf, newKey, testCluster, textOf } from "@/test/server/cluster";
import { mountHook } from "./dom";
import { load } from "./install";

const cluster = testCluster();
const { createElement } = await load("react");
const { AssistantRuntimeProvider } = await load("@assistant-ui/react");
const { useChatRuntime, AssistantChatTransport } = await load("@assistant-ui/react-ai-sdk");

type Message = {
  id: string;
  role: string;
  content: { type: string; text?: string; toolName?: string }[];
  status: { type: string };
};
type Thread = {
  getState(): { messages: Message[]; isRunning: boolean };
  append(text: string): void;
  getMessageByIndex(index: number): {
    composer: { beginEdit(): void; setText(text: string): void; send(): void };
    reload(): void;
  };
};

function open(token = cluster.user.token) {
  let chatId = "";
  const transport = new AssistantChatTransport({
    api: `${cluster.a.url}/api/chat`,
    headers: { authorization: `Bearer ${token}` },
    fetch: async (input: string, init: RequestInit) => {
      const response = await fetch(input, init);
      chatId = response.headers.get("x-chat-id") ?? chatId;
      return response;
    },
  });
  const page = mountHook(
    () => useChatRuntime({ transport }),
    (runtime) => createElement(AssistantRuntimeProvider, { runtime }),
  );
  const thread = (): Thread => page.current()?.thread;
  const shown = () =>
    thread()
      .getState()
      .messages.map(({ content }) => content.map(({ text = "" }) => text).join(""));
  const status = () => thread().getState().messages.at(-1)?.status;
  return { thread, shown, status, chatId: () => chatId, close: page.unmount };
}

test("assistant-ui: shows an answer as it streams, and the next one below it", async () => {
  const key = newKey();
  cluster.provider.on(key, gated(key, ["Two", " words."]));
  const page = open();
  await expect.poll(page.thread).toBeDefined();
  page.thread().append(key);
  await expect.poll(page.shown).toEqual([key, "Two"]);
  expect(page.status()?.type).toBe("running");
  cluster.provider.open(gateOf(key, 0));
  cluster.provider.open(gateOf(key, 1));
  await expect.poll(page.status).toMatchObject({ type: "complete" });
  page.thread().append("And again?");
  await expect.poll(page.shown).toEqual([key, "Two words.", "And again?", "Hello there."]);
  await expect.poll(page.status).toMatchObject({ type: "complete" });
  expect((await cluster.messages(page.chatId())).map(textOf)).toEqual(page.shown());
  page.close();
});

test("assistant-ui: answers an edited question, and regenerates an answer", async () => {
  const [first, second] = [newKey(), newKey()];
  cluster.provider.on(first, [{ text: "Old." }, { finish: "stop" }]);
  cluster.provider.on(second, [{ text: "New." }, { finish: "stop" }], [{ text: "Another." }, { finish: "stop" }]);
  const page = open();
  await expect.poll(page.thread).toBeDefined();
  page.thread().append(first);
  await expect.poll(page.shown).toEqual([first, "Old."]);
  await expect.poll(page.status).toMatchObject({ type: "complete" });
  const { composer } = page.thread().getMessageByIndex(0);
  composer.beginEdit();
  composer.setText(second);
  composer.send();
  await expect.poll(page.shown).toEqual([second, "New."]);
  await expect.poll(page.status).toMatchObject({ type: "complete" });
  page.thread().getMessageByIndex(1).reload();
  await expect.poll(page.shown).toEqual([second, "Another."]);
  await expect.poll(page.status).toMatchObject({ type: "complete" });
  expect((await cluster.messages(page.chatId())).map(textOf)).toEqual([second, "Another."]);
  page.close();
});

test("assistant-ui: shows the server's tool calls", async () => {
  const key = newKey();
  cluster.provider.on(
    key,
    [{ tool: "add_task", arguments: ['{"title":"Buy milk"}'] }, { finish: "tool_calls" }],
    [{ text: "Added." }, { finish: "stop" }],
  );
  const page = open();
  await expect.poll(page.thread).toBeDefined();
  page.thread().append(key);
  await expect.poll(page.shown).toEqual([key, "Added."]);
  const call = page
    .thread()
    .getState()
    .messages.at(-1)
    ?.content.find(({ type }) => type === "tool-call");
  expect(call).toMatchObject({ toolName: "add_task", result: { task: { title: "Buy milk" } } });
  page.close();
});

test("assistant-ui: shows an error for a wrong key", async () => {
  const page = open("wrong");
  await expect.poll(page.thread).toBeDefined();
  page.thread().append("Hello");
  await expect.poll(page.status).toMatchObject({ type: "incomplete", reason: "error" });
  page.close();
});
