// The scripted provider's wire shapes: OpenAI's Chat Completions and Responses, streamed and whole.
// Pure: maps what the model "says" to the bytes a real server would send. No sockets, no timing.

export type Usage = { input: number; output: number };
export type Finish = "stop" | "length" | "tool_calls" | "content_filter";

/** One answer being written. Each call returns frames in sending order; one writer per request. */
export type Writer = {
  open(): string;
  text(delta: string): string;
  reasoning(delta: string): string;
  /** One frame for the start, one per arguments delta, and one for the end if the shape has it. */
  tool(name: string, argumentDeltas: string[]): string[];
  finish(reason: Finish, usage: Usage): string;
  /** An error in a stream that began with status 200. */
  error(message: string, code: string): string;
  /** The answer as one JSON body, for a request without `stream`. Call it last. */
  whole(reason: Finish, usage: Usage): object;
};

export type ShapeName = "chat" | "responses";

const createdAt = 1_790_000_000;

export function writerFor(shape: ShapeName, number: number, model: string, includeUsage: boolean): Writer {
  return shape === "chat" ? chatWriter(number, model, includeUsage) : responsesWriter(number, model);
}

function chatWriter(number: number, model: string, includeUsage: boolean): Writer {
  const id = `chatcmpl-${number}`;
  let text = "";
  const calls: { id: string; type: "function"; function: { name: string; arguments: string } }[] = [];
  const head = { id, object: "chat.completion.chunk", created: createdAt, model };
  const frame = (body: object) => `data: ${JSON.stringify({ ...head, ...body })}\n\n`;
  const delta = (value: object, finishReason: Finish | null = null) =>
    frame({ choices: [{ index: 0, delta: value, logprobs: null, finish_reason: finishReason }] });
  const usageBody = (usage: Usage) => ({
    prompt_tokens: usage.input,
    completion_tokens: usage.output,
    total_tokens: usage.input + usage.output,
  });

  return {
    open: () => delta({ role: "assistant", content: null }),
    text(value) {
      text += value;
      return delta({ content: value });
    },
    // Not in OpenAI's shape; compatible servers send reasoning like this.
    reasoning: (value) => delta({ reasoning_content: value }),
    tool(name, argumentDeltas) {
      const index = calls.length;
      const callId = `call_${number}_${index}`;
      calls.push({ id: callId, type: "function", function: { name, arguments: argumentDeltas.join("") } });
      return [
        delta({ tool_calls: [{ index, id: callId, type: "function", function: { name, arguments: "" } }] }),
        ...argumentDeltas.map((part) => delta({ tool_calls: [{ index, function: { arguments: part } }] })),
      ];
    },
    finish(reason, usage) {
      const usageFrame = includeUsage ? frame({ choices: [], usage: usageBody(usage) }) : "";
      return `${delta({}, reason)}${usageFrame}data: [DONE]\n\n`;
    },
    error: (message, code) => `data: ${JSON.stringify({ error: { message, type: "server_error", code } })}\n\n`,
    whole: (reason, usage) => ({
      ...head,
      object: "chat.completion",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: text || null, ...(calls.length > 0 && { tool_calls: calls }) },
          finish_reason: reason,
        },
      ],
      usage: usageBody(usage),
    }),
  };
}

type Item = { type: "message" | "reasoning" | "function_call"; id: string; [field: string]: unknown };

function responsesWriter(number: number, model: string): Writer {
  const id = `resp_${number}`;
  let sequence = 0;
  /** The open item and its text so far, if it is one with text. */
  let open: { item: Item; text: string } | undefined;
  const output: Item[] = [];
  const frame = (type: string, body: object) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: sequence++, ...body })}\n\n`;
  const response = (status: string, rest: object = {}) => ({
    response: { id, object: "response", created_at: createdAt, model, status, output, ...rest },
  });
  const usageBody = (usage: Usage) => ({
    input_tokens: usage.input,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: usage.output,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: usage.input + usage.output,
  });
  const place = () => ({ output_index: output.length });
  const added = (item: Item) => frame("response.output_item.added", { ...place(), item });
  const done = (item: Item) => {
    const written = frame("response.output_item.done", { ...place(), item });
    output.push(item);
    return written;
  };

  function close(): string {
    if (!open) return "";
    const { item, text } = open;
    open = undefined;
    const at = { item_id: item.id, ...place() };
    if (item.type === "reasoning") {
      const part = { type: "summary_text", text };
      return (
        frame("response.reasoning_summary_text.done", { ...at, summary_index: 0, text }) +
        frame("response.reasoning_summary_part.done", { ...at, summary_index: 0, part }) +
        done({ ...item, summary: [part], encrypted_content: "sealed" })
      );
    }
    const part = { type: "output_text", text, annotations: [] };
    return (
      frame("response.output_text.done", { ...at, content_index: 0, text }) +
      frame("response.content_part.done", { ...at, content_index: 0, part }) +
      done({ ...item, status: "completed", content: [part] })
    );
  }

  /** Opens an item of this type unless one is open. */
  function enter(type: "message" | "reasoning"): string {
    if (open?.item.type === type) return "";
    const closed = close();
    if (type === "reasoning") {
      const item: Item = { type, id: `rs_${number}_${output.length}`, summary: [] };
      open = { item, text: "" };
      const part = { type: "summary_text", text: "" };
      const at = { item_id: item.id, ...place(), summary_index: 0, part };
      return closed + added(item) + frame("response.reasoning_summary_part.added", at);
    }
    const item: Item = {
      type,
      id: `msg_${number}_${output.length}`,
      role: "assistant",
      status: "in_progress",
      content: [],
    };
    open = { item, text: "" };
    const part = { type: "output_text", text: "", annotations: [] };
    const at = { item_id: item.id, ...place(), content_index: 0, part };
    return closed + added(item) + frame("response.content_part.added", at);
  }

  function grow(type: "message" | "reasoning", delta: string): string {
    const opened = enter(type);
    if (!open) throw new Error("no open item");
    open.text += delta;
    const at = { item_id: open.item.id, ...place(), delta };
    return type === "message"
      ? opened + frame("response.output_text.delta", { ...at, content_index: 0, logprobs: [] })
      : opened + frame("response.reasoning_summary_text.delta", { ...at, summary_index: 0 });
  }

  function ending(reason: Finish, usage: Usage): [string, object] {
    if (reason === "stop" || reason === "tool_calls") {
      return ["response.completed", response("completed", { usage: usageBody(usage) })];
    }
    const details = { reason: reason === "length" ? "max_output_tokens" : "content_filter" };
    return ["response.incomplete", response("incomplete", { incomplete_details: details, usage: usageBody(usage) })];
  }

  return {
    open: () =>
      frame("response.created", response("in_progress")) + frame("response.in_progress", response("in_progress")),
    text: (delta) => grow("message", delta),
    reasoning: (delta) => grow("reasoning", delta),
    tool(name, argumentDeltas) {
      const closed = close();
      const call = {
        type: "function_call" as const,
        id: `fc_${number}_${output.length}`,
        call_id: `call_${number}_${output.length}`,
        name,
      };
      const at = { item_id: call.id, ...place() };
      const all = argumentDeltas.join("");
      return [
        closed + added({ ...call, arguments: "", status: "in_progress" }),
        ...argumentDeltas.map((delta) => frame("response.function_call_arguments.delta", { ...at, delta })),
        frame("response.function_call_arguments.done", { ...at, arguments: all }) +
          done({ ...call, arguments: all, status: "completed" }),
      ];
    },
    finish: (reason, usage) => close() + frame(...ending(reason, usage)),
    error: (message, code) => frame("error", { code, message, param: null }),
    whole(reason, usage) {
      close();
      const [, body] = ending(reason, usage);
      return (body as { response: object }).response;
    },
  };
}
