// Real-world clients of dialect `agent`. They split at blank lines, treat a block as an event if it
// begins with `data: `, and parse the rest as JSON. They name no chat and send no key.
export type Chunk = { type: string; content?: string; name?: string; message?: string };
type Caller = { url: string; userId: string; token: string };
type Listeners = {
  onChunk(chunk: Chunk): void;
  onDone(): void;
  onError(error: Error): void;
  /** Receives what could not be parsed. */
  onBroken(data: string): void;
};

export async function streamChat(
  { url, userId, token }: Caller,
  message: string,
  { onChunk, onDone, onError, onBroken }: Listeners,
): Promise<void> {
  const response = await fetch(`${url}/api/${userId}/chat/stream`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify({ message }),
  });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const reader = response.body?.getReader();
  if (!reader) throw new Error("there is no body");
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      rest += decoder.decode(next.value, { stream: true });
      const blocks = rest.split("\n\n");
      rest = blocks.pop() || "";
      for (const block of blocks) {
        if (!block.startsWith("data: ")) continue;
        const data = block.slice(6);
        if (data === "[DONE]") return onDone();
        try {
          const chunk = JSON.parse(data) as Chunk;
          if (chunk.type === "done") return onDone();
          onChunk(chunk);
        } catch {
          onBroken(data);
        }
      }
    }
    onDone();
  } catch (error) {
    onError(error as Error);
  }
}

/** A chat component with only a URL: it reads text until `[DONE]`, with the browser's cookie. */
export async function readText(address: string, message: string): Promise<string> {
  const response = await fetch(address, { method: "POST", body: JSON.stringify({ message }) });
  let text = "";
  for (const block of (await response.text()).split("\n\n")) {
    if (block === "data: [DONE]") return text;
    const chunk = block.startsWith("data: ") ? (JSON.parse(block.slice(6)) as Chunk) : null;
    if (chunk?.type === "text") text += chunk.content;
  }
  throw new Error("the stream had no [DONE]");
}

/** What it does after an error: no token and no content type, so the page's cookie must suffice. */
export async function wholeChat(
  { url, userId }: Pick<Caller, "url" | "userId">,
  message: string,
  init: RequestInit = {},
) {
  const response = await fetch(`${url}/api/${userId}/chat`, {
    method: "POST",
    body: JSON.stringify({ message }),
    ...init,
  });
  const data = (await response.json()) as { response: string };
  return { status: response.status, text: data.response };
}
