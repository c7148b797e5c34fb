// Real-world clients of dialect `rag`: they name a session by its number, in a page under `/api`.
export type Said = { type: string; content?: unknown; [name: string]: unknown };

/** A page that only listens. Resolves to the text when the answer is done. */
export function listen(address: string, displaySources: (sources: unknown) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const source = new EventSource(address);
    source.onmessage = ({ data }) => {
      const event = JSON.parse(data) as Said;
      if (event.type === "chunk") text += event.content;
      if (event.type === "sources") displaySources(event.content);
      if (event.type !== "done") return;
      source.close();
      resolve(text);
    };
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) reject(new Error("the browser gave up"));
    };
  });
}

/** A page that asks. Returns everything that was sent. */
export async function ask(address: string, question: string, headers: Record<string, string> = {}): Promise<Said[]> {
  const response = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify({ question }),
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let all = "";
  for (let next = await reader.read(); !next.done; next = await reader.read())
    all += decoder.decode(next.value, { stream: true });
  return Array.from(all.matchAll(/^data: (.*)$/gm), ([, data]) => JSON.parse(data as string) as Said);
}
