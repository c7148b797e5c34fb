// Joins the text of a provider's answer before anybody parses it. A server that is busy finds several events in one read,
// and each would go alone through the SDK's parser, its schemas and a dozen streams. Here the text deltas that lie side by
// side in what one read brought become one event. Nothing waits for more, nothing else is touched, and bytes that are
// not understood pass as they are (docs/performance.md).

/** A `fetch` whose event streams come with adjacent text deltas joined. Everything else about the answer is the same. */
export async function joiningFetch(...request: Parameters<typeof fetch>): Promise<Response> {
  const answer = await fetch(...request);
  if (!answer.body || !answer.headers.get("content-type")?.startsWith("text/event-stream")) return answer;
  const { status, statusText, headers } = answer;
  return new Response(joinFrames(answer.body), { status, statusText, headers });
}

const newline = 0x0a;
const carriageReturn = 0x0d;
const blankLine = Buffer.from("\n\n");

/** One read in, at most one read out. An event that is not whole yet is kept until it is, as any parser would. */
export function joinFrames(source: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  /** The beginning of an event whose end has not come. */
  let pieces: Uint8Array[] = [];
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        for (;;) {
          const { done, value } = await reader.read();
          if (done) {
            if (pieces.length > 0) controller.enqueue(Buffer.concat(pieces));
            controller.close();
            return;
          }
          const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
          const end = endOfEvents(bytes, pieces.at(-1)?.at(-1));
          if (end > 0) {
            const whole = bytes.subarray(0, end);
            controller.enqueue(joined(pieces.length > 0 ? Buffer.concat([...pieces, whole]) : whole));
            pieces = end < bytes.length ? [bytes.subarray(end)] : [];
            return;
          }
          pieces.push(bytes);
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** Where the last whole event ends; 0 when none does. `before` is the byte in front of these. */
function endOfEvents(bytes: Buffer, before: number | undefined): number {
  // Some servers end their lines with CR LF: their events pass as they come.
  if (bytes.includes(carriageReturn)) return bytes.length;
  const last = bytes.lastIndexOf(blankLine);
  if (last >= 0) return last + blankLine.length;
  return before === newline && bytes[0] === newline ? 1 : 0;
}

function joined(bytes: Buffer): Buffer {
  // One event, which is what a read brings while the provider is slower than this server.
  if (bytes.indexOf(blankLine) + blankLine.length >= bytes.length || bytes.includes(carriageReturn)) return bytes;
  const events = bytes.toString().split("\n\n");
  let text = "";
  let open: Delta | null = null;
  for (const event of events) {
    if (event === "") continue;
    const delta = textDelta(event);
    if (delta && open?.key === delta.key) {
      open.text += delta.text;
      continue;
    }
    if (open) text += open.write(open.text);
    open = delta;
    if (!delta) text += `${event}\n\n`;
  }
  if (open) text += open.write(open.text);
  return Buffer.from(text);
}

type Delta = { key: string; text: string; write(text: string): string };

/** An event that brings text and nothing else; `key` says which text. */
function textDelta(event: string): Delta | null {
  if (event.startsWith(chatStart)) return chatDelta(event);
  return event.startsWith(responsesStart) ? responsesDelta(event) : null;
}

const chatStart = "data: {";
const responsesStart = "event: response.output_text.delta\ndata: {";

type ChatChunk = {
  id?: string;
  choices?: { index?: number; delta?: { content?: unknown }; finish_reason?: unknown; logprobs?: unknown }[];
  usage?: unknown;
};

function chatDelta(event: string): Delta | null {
  const chunk = parse<ChatChunk>(event.slice(chatStart.length - 1));
  const choice = chunk?.choices?.length === 1 ? chunk.choices[0] : undefined;
  const text = choice?.delta?.content;
  if (!chunk || !choice || typeof text !== "string") return null;
  if (choice.finish_reason || choice.logprobs || chunk.usage || Object.keys(choice.delta ?? {}).length > 1) return null;
  return {
    key: `${chunk.id} ${choice.index}`,
    text,
    write: (content) => `data: ${JSON.stringify({ ...chunk, choices: [{ ...choice, delta: { content } }] })}\n\n`,
  };
}

type ResponsesEvent = {
  item_id?: string;
  output_index?: number;
  content_index?: number;
  delta?: unknown;
  logprobs?: unknown[];
};

function responsesDelta(event: string): Delta | null {
  const parsed = parse<ResponsesEvent>(event.slice(responsesStart.length - 1));
  if (!parsed || typeof parsed.delta !== "string" || parsed.logprobs?.length) return null;
  const { item_id, output_index, content_index } = parsed;
  return {
    key: `${item_id} ${output_index} ${content_index}`,
    text: parsed.delta,
    write: (delta) => `${responsesStart.slice(0, -1)}${JSON.stringify({ ...parsed, delta })}\n\n`,
  };
}

/** Null for what is no JSON on one line: the SDK is the one to complain. */
function parse<T>(json: string): T | null {
  if (json.includes("\n")) return null;
  try {
    return JSON.parse(json) as T;
  } catch {
    return null;
  }
}
