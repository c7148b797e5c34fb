// `useChat` and its `Chat` in React, unmodified, on its own transport.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ChatMessage } from "@/lib/turn/chunks";
import { type FaultProxy, startFaultProxy } from "@/test/fault-proxy";
import { gated, gateOf, newKey, testCluster, textOf } from "@/test/server/cluster";
import { busyGuest, fewTurnsAtATime } from "./busy-guest";
import { mountHook } from "./dom";
import { load } from "./install";

const cluster = testCluster({ env: fewTurnsAtATime });
let proxy: FaultProxy;
beforeAll(async () => {
  proxy = await startFaultProxy(cluster.a.port);
});
afterAll(() => proxy.close());

describe.each([
  ["useChat of ai 7", await load("ai"), await load("@ai-sdk/react")],
  ["useChat of ai 6", await load("ai-6"), await load("@ai-sdk/react-3")],
])("%s", (_, { DefaultChatTransport, lastAssistantMessageIsCompleteWithToolCalls }, { useChat }) => {
  /** A page with an open chat. */
  function open({
    id = crypto.randomUUID() as string,
    token = cluster.user.token,
    url = cluster.a.url,
    ...options
  }: {
    id?: string;
    token?: string;
    url?: string;
    resume?: boolean;
    messages?: ChatMessage[];
    sendAutomaticallyWhen?: unknown;
  } = {}) {
    const transport = new DefaultChatTransport({
      api: `${url}/api/chat`,
      headers: { authorization: `Bearer ${token}` },
    });
    const page = mountHook(() => useChat({ id, transport, ...options })) as ReturnType<typeof mountHook<Chat>>;
    const shown = () => page.current().messages.map(textOf);
    return { id, chat: page.current, shown, close: page.unmount };
  }

  test("shows an answer as it streams, and the next one below it", async () => {
    const key = newKey();
    cluster.provider.on(key, gated(key, ["Two", " words."]));
    const page = open();
    await mounted(page);
    const sent = page.chat().sendMessage({ text: key });
    await expect.poll(page.shown).toEqual([key, "Two"]);
    expect(page.chat().status).toBe("streaming");
    cluster.provider.open(gateOf(key, 0));
    cluster.provider.open(gateOf(key, 1));
    await sent;
    await expect.poll(() => page.chat().status).toBe("ready");
    await page.chat().sendMessage({ text: "And again?" });
    await expect.poll(page.shown).toEqual([key, "Two words.", "And again?", "Hello there."]);
    expect((await cluster.messages(page.id)).map(textOf)).toEqual(page.shown());
    page.close();
  });

  test("regenerates an answer", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "First." }, { finish: "stop" }], [{ text: "Second." }, { finish: "stop" }]);
    const page = open();
    await mounted(page);
    await page.chat().sendMessage({ text: key });
    await page.chat().regenerate();
    await expect.poll(page.shown).toEqual([key, "Second."]);
    page.close();
  });

  test("answers an edited question in place of the old one", async () => {
    const [first, second] = [newKey(), newKey()];
    cluster.provider.on(first, [{ text: "Old." }, { finish: "stop" }]);
    cluster.provider.on(second, [{ text: "New." }, { finish: "stop" }]);
    const page = open();
    await mounted(page);
    await page.chat().sendMessage({ text: first });
    await expect.poll(page.shown).toEqual([first, "Old."]);
    await page.chat().sendMessage({ text: second, messageId: page.chat().messages[0]?.id });
    await expect.poll(page.shown).toEqual([second, "New."]);
    expect((await cluster.messages(page.id)).map(textOf)).toEqual([second, "New."]);
    page.close();
  });

  test("stops, and sends the next question immediately", async () => {
    const key = newKey();
    cluster.provider.on(key, [{ text: "Half" }, { hang: true }]);
    const page = open();
    await mounted(page);
    const sent = page.chat().sendMessage({ text: key });
    await expect.poll(page.shown).toEqual([key, "Half"]);
    await page.chat().stop();
    await sent;
    await page.chat().sendMessage({ text: "Then this?" });
    await expect.poll(page.shown).toEqual([key, "Half", "Then this?", "Hello there."]);
    await expect.poll(() => page.chat().status).toBe("ready");
    expect((await cluster.messages(page.id)).map(textOf)).toEqual(page.shown());
    page.close();
  });

  test("sends nothing by itself after the server's tool calls, or for a new chat", async () => {
    const key = newKey();
    cluster.provider.on(
      key,
      [{ tool: "add_task", arguments: ['{"title":"Buy milk"}'] }, { finish: "tool_calls" }],
      [{ text: "Added." }, { finish: "stop" }],
    );
    const page = open({ resume: true, sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls });
    await mounted(page);
    await page.chat().sendMessage({ text: key });
    await expect.poll(page.shown).toEqual([key, "Added."]);
    await expect.poll(() => page.chat().status).toBe("ready");
    await page.chat().sendMessage({ text: "And again?" });
    await expect.poll(page.shown).toEqual([key, "Added.", "And again?", "Hello there."]);
    expect(page.chat().error).toBeUndefined();
    // A call, and what the model says of its result.
    expect(cluster.requestsFor(key)).toHaveLength(2);
    page.close();
  });

  test("resumes the running answer when a page is reopened", async () => {
    const key = newKey();
    cluster.provider.on(key, gated(key, ["Two", " words."]));
    const first = open();
    await mounted(first);
    void first.chat().sendMessage({ text: key });
    await expect.poll(first.shown).toEqual([key, "Two"]);
    first.close();
    const page = open({ id: first.id, resume: true, messages: await cluster.messages(first.id) });
    await expect.poll(() => page.chat()?.status).toBe("streaming");
    cluster.provider.open(gateOf(key, 0));
    cluster.provider.open(gateOf(key, 1));
    await expect.poll(() => page.chat().status).toBe("ready");
    expect(page.shown()).toEqual([key, "Two words."]);
    page.close();
  });

  test("shows an error when the connection is cut, and the complete answer after a resume", async () => {
    const key = newKey();
    cluster.provider.on(key, gated(key, ["Two", " words."]));
    const page = open({ url: proxy.url });
    await mounted(page);
    const sent = page.chat().sendMessage({ text: key });
    await expect.poll(page.shown).toEqual([key, "Two"]);
    proxy.down();
    await sent;
    await expect.poll(() => page.chat().status).toBe("error");
    proxy.up();
    const resumed = page.chat().resumeStream();
    await expect.poll(() => page.chat().status).toBe("streaming");
    cluster.provider.open(gateOf(key, 0));
    cluster.provider.open(gateOf(key, 1));
    await resumed;
    await expect.poll(() => page.chat().status).toBe("ready");
    expect(page.shown()).toEqual([key, "Two words."]);
    page.close();
  });

  test("shows the server's tool calls", async () => {
    const key = newKey();
    cluster.provider.on(
      key,
      [{ tool: "add_task", arguments: ['{"title":"Buy milk"}'] }, { finish: "tool_calls" }],
      [{ text: "Added." }, { finish: "stop" }],
    );
    const page = open();
    await mounted(page);
    await page.chat().sendMessage({ text: key });
    await expect.poll(page.shown).toEqual([key, "Added."]);
    const call = page
      .chat()
      .messages.at(-1)
      ?.parts.find(({ type }) => type === "tool-add_task");
    expect(call).toMatchObject({ state: "output-available", input: { title: "Buy milk" } });
    page.close();
  });

  test("shows an error for a wrong key and for a limit", async () => {
    for (const [token, code] of [
      ["wrong", "unauthorized"],
      [await busyGuest(cluster), "limit_reached"],
    ]) {
      const page = open({ token });
      await mounted(page);
      await page.chat().sendMessage({ text: "Hello" });
      await expect.poll(() => page.chat().status).toBe("error");
      expect(JSON.parse(page.chat().error?.message ?? "{}")).toMatchObject({ error: { code } });
      page.close();
    }
  });
});

type Chat = {
  status: string;
  error?: Error;
  messages: ChatMessage[];
  sendMessage(message: { text: string; messageId?: string }): Promise<void>;
  regenerate(): Promise<void>;
  resumeStream(): Promise<void>;
  stop(): Promise<void>;
};

async function mounted(page: { chat(): Chat | undefined }): Promise<void> {
  await expect.poll(() => page.chat()?.status).toBe("ready");
}
