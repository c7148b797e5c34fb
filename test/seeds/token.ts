// A client of dialect `token` as it is found in the wild: tokens as they come, the list of messages read again at the end, and
// the whole request once more when the connection fails. It has no key.
export type Chunk = { type: string; messageId?: string; content?: string; error?: string };
export type Session = { url: string; token: string; sessionId: string };

export async function sendMessageStream(
  { url, token, sessionId }: Session,
  body: { content: string; role: "user" },
  onChunk: (chunk: Chunk) => void,
): Promise<void> {
  const response = await fetch(`${url}/sessions/${sessionId}/messages/stream`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json", Accept: "text/event-stream" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    rest += decoder.decode(next.value, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("data: ")) onChunk(JSON.parse(line.slice(6)) as Chunk);
  }
}

/** What is shown: tokens while they come, then the stored messages in their place. */
export async function chat(
  session: Session,
  content: string,
  onChunk: (chunk: Chunk) => void = () => {},
  retries = 3,
): Promise<{ shown: string; stored: string[] }> {
  for (let attempt = 0; ; attempt++) {
    let shown = "";
    try {
      await sendMessageStream(session, { content, role: "user" }, (chunk) => {
        if (chunk.type === "start") shown = "";
        if (chunk.type === "token") shown += chunk.content;
        onChunk(chunk);
      });
      const answer = await fetch(`${session.url}/sessions/${session.sessionId}/messages`, {
        headers: { Authorization: `Bearer ${session.token}` },
      });
      const messages = (await answer.json()) as { content: string }[];
      return { shown, stored: messages.map((message) => message.content) };
    } catch (error) {
      // `fetch` and its body throw this when the network fails; a refusal is not tried again.
      if (!(error instanceof TypeError) || attempt === retries) throw error;
    }
  }
}
