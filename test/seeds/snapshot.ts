// A real-world client of dialect `snapshot`: the first event is the conversation, then deltas.
type Message = { role: string; content: string };

export async function streamConversation(
  { url, token }: { url: string; token: string },
  body: object,
): Promise<{ before: Message[]; text: string; done: boolean; headers: Headers }> {
  const response = await fetch(`${url}/api/v1/chat/stream`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  const received = { before: [] as Message[], text: "", done: false, headers: response.headers };
  let rest = "";
  for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    rest += piece;
    const blocks = rest.split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const event = /^event: (.*)$/m.exec(block)?.[1];
      const data = JSON.parse(/^data: (.*)$/m.exec(block)?.[1] ?? "null");
      if (event === "snapshot") received.before = data.messages;
      if (event || !data) continue;
      received.text += data.delta;
      received.done = data.done;
    }
  }
  return received;
}
