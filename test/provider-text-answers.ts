// Text answers as real servers stream them (named in docs/providers.md), and their meaning.
import { truncatedReason } from "@/lib/models/answer-events";
import { type Answer, chunk, done, frame, hello, type Meaning, stop, usage } from "./provider-answers";

const good: Partial<Meaning> = { text: "Hello world.", finish: "stop", failed: null };
const thought = { ...good, reasoning: "Hm." };
const counted = { ...good, tokens: 7 };
const tagged = (open: string, close: string) =>
  [open.slice(0, 5), `${open.slice(5)}\n`, "Hm.", close.slice(0, 7), `${close.slice(7)}\n\nHello `, "world."]
    .map((content) => chunk({ content }))
    .join("") + stop;

/** What a server sends, and its meaning. */
export const textAnswers: Answer[] = [
  [
    "OpenAI's own format",
    chunk({ role: "assistant", content: "" }) + hello + stop + usage + done,
    { ...good, tokens: 7 },
  ],
  ["reasoning_content", chunk({ reasoning_content: "Hm." }) + hello + stop + done, { ...good, reasoning: "Hm." }],
  ["reasoning", chunk({ content: "", reasoning: "Hm." }) + hello + stop + done, { ...good, reasoning: "Hm." }],
  ["thinking", chunk({ thinking: "Hm." }) + hello + stop + done, { ...good, reasoning: "Hm." }],
  [
    "think tags at the start",
    ["<thi", "nk>\nHm", ".</th", "ink>", "\n\nHello", " world."].map((content) => chunk({ content })).join("") + stop,
    { ...good, reasoning: "Hm." },
  ],
  [
    "a later tag, which is text",
    chunk({ content: "See <think>" }) + stop + done,
    { text: "See <think>", reasoning: "" },
  ],
  ["an angle bracket at the end", chunk({ content: "a" }) + chunk({ content: " <" }) + stop + done, { text: "a <" }],
  ["text that starts like a tag", chunk({ content: "<thi" }) + stop + done, { text: "<thi", reasoning: "" }],
  [
    "content as parts",
    chunk({ content: [{ type: "thinking", thinking: [{ type: "text", text: "Hm." }] }] }) +
      chunk({ content: [{ type: "text", text: "Hello " }, "world."] }) +
      stop,
    { ...good, reasoning: "Hm." },
  ],
  [
    "a role, usage and another id in each delta",
    ["Hello ", "world."]
      .map((content, id) =>
        chunk({ role: "assistant", content }, null, { id, created: `${id}`, usage: { total_tokens: id } }),
      )
      .join("") + stop,
    { ...good, tokens: 1 },
  ],
  [
    "usage in strings, details in lists",
    hello +
      stop +
      frame({ choices: [], usage: { total_tokens: "7", prompt_tokens: "3", prompt_tokens_details: [1] } }) +
      done,
    { ...good, tokens: 7 },
  ],
  ["usage without choices", hello + stop + frame({ usage: { total_tokens: 7 } }) + done, { ...good, tokens: 7 }],
  [
    "usage with choices null",
    hello + stop + frame({ choices: null, usage: { total_tokens: 7 } }) + done,
    { ...good, tokens: 7 },
  ],
  ["choices without index", frame({ choices: [{ delta: { content: "Hello world." } }] }) + stop + done, good],
  ["comments", `: ping\n\n${hello}: ping\n\n${stop}${done}`, good],
  [
    "named pings",
    `${chunk({ content: "Hello " })}event: ping\ndata: {"type":"ping"}\n\nevent: ping\ndata: word\n\n${chunk({ content: "world." })}${stop}${done}`,
    good,
  ],
  ["empty data, or a comment as data", `data:\n\ndata: : keepalive\n\n${hello}${stop}${done}`, good],
  ["an object after the finish reason", `${hello}${stop}data: {"cost":"0.01"}\n\n${done}`, good],
  ["garbage after the finish reason", `${hello}${stop}data: {nope\n\n`, good],
  ["an error after the finish reason", hello + stop + frame({ error: { code: 500 } }), good],
  ["DONE without brackets", `${hello}${stop}data: DONE\n\n`, good],
  ["[done] in lower case", `${hello}data: [done]\n\n`, good],
  ["[DONE] in quotes", `${hello}data: "[DONE]"\n\n`, good],
  ["[DONE] without a finish reason", hello + done, good],
  ["the last event without a blank line", (hello + stop).trimEnd(), good],
  ["CR LF", (hello + stop + done).replaceAll("\n", "\r\n"), good],
  [
    "mixed CR LF and LF, and multi-byte characters",
    `: x\r\n\r\n${chunk({ content: "Grüße " })}${chunk({ content: "日本語" })}${stop}`,
    { text: "Grüße 日本語" },
  ],
  ["an empty finish reason in each delta", chunk({ content: "Hello world." }, "") + done, good],
  ["another finish reason", hello + chunk({}, "end_turn") + done, good],
  ["an answer cut off at its length limit", hello + chunk({}, "max_tokens") + done, { finish: "length" }],
  ["a filtered answer", hello + chunk({}, "SAFETY") + done, { finish: "content_filter" }],
  ["an unknown finish reason", hello + chunk({}, "odd") + done, { finish: "odd" }],
  ["only the end of the connection", hello, { text: "Hello world.", finish: truncatedReason, failed: null }],
  [
    "an empty finish reason and the end of the connection",
    chunk({ content: "Hello " }, ""),
    { finish: truncatedReason },
  ],
  ["[DONE] and nothing else", done, { finish: truncatedReason }],
  [
    "cited pages",
    hello +
      chunk({
        annotations: [
          { type: "url_citation", url_citation: { url: "https://a.example/", title: "A" } },
          { type: "file", file: {} },
          { url: "no url" },
        ],
      }) +
      stop,
    { ...good, pages: ["https://a.example/"] },
  ],
  // Reasoning.
  [
    "reasoning beside an empty field with another name",
    chunk({ reasoning_content: "", reasoning: "Hm." }) + hello + stop,
    thought,
  ],
  ["reasoning_text", chunk({ reasoning_text: "Hm." }) + hello + stop, thought],
  ["thoughts", chunk({ thoughts: ["Hm."] }) + hello + stop, thought],
  [
    "reasoning_details alone",
    chunk({
      reasoning_details: [
        { type: "reasoning.text", text: "Hm." },
        { type: "reasoning.encrypted", data: "x" },
      ],
    }) +
      hello +
      stop,
    thought,
  ],
  [
    "reasoning duplicated in its details",
    chunk({ reasoning: "Hm.", reasoning_details: [{ type: "reasoning.text", text: "Hm." }] }) + hello + stop,
    thought,
  ],
  [
    "thinking blocks",
    chunk({ thinking_blocks: [{ type: "thinking", thinking: "Hm.", signature: "s" }] }) + hello + stop,
    thought,
  ],
  ["thinking tags", tagged("<thinking>", "</thinking>"), thought],
  ["thought tags", tagged("<thought>", "</thought>"), thought],
  ["Seed's tags", tagged("<seed:think>", "</seed:think>"), thought],
  ["Magistral's tags", tagged("[THINK]", "[/THINK]"), thought],
  ["Kimi's tags", tagged("◁think▷", "◁/think▷"), thought],
  ["Command A's tags", tagged("<|START_THINKING|>", "<|END_THINKING|>"), thought],
  [
    "gpt-oss channels",
    tagged("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    thought,
  ],
  ["the end of reasoning that the prompt opened", chunk({ content: "</think>\n\nHello world." }) + stop, good],
  ["a single channel", chunk({ content: "<|channel|>final<|message|>Hello world." }) + stop, good],
  // Deltas.
  ["content null", chunk({ role: "assistant", content: null }) + hello + stop, good],
  ["a null delta", frame({ choices: [{ index: 0, delta: null }] }) + hello + stop, good],
  ["no delta", frame({ choices: [{ index: 0, finish_reason: null }] }) + hello + stop, good],
  ["a string as delta", frame({ choices: [{ delta: "Hello world." }] }) + stop, good],
  ["content as a single part", chunk({ content: { type: "text", text: "Hello world." } }) + stop, good],
  ["a number as content", chunk({ content: 7 }) + stop, { text: "7", finish: "stop" }],
  [
    "text of legacy completions",
    frame({ choices: [{ text: "Hello " }] }) + frame({ choices: [{ text: "world." }] }) + stop,
    good,
  ],
  [
    "messages instead of deltas",
    ["Hello ", "world."].map((content) => frame({ choices: [{ message: { content } }] })).join("") + stop,
    good,
  ],
  [
    "a message after the deltas",
    hello + frame({ choices: [{ delta: {}, message: { content: "Hello world." }, finish_reason: "stop" }] }),
    good,
  ],
  [
    "the message so far beside each delta",
    frame({ choices: [{ delta: { content: "Hello " }, message: { content: "Hello " } }] }) +
      frame({ choices: [{ delta: { content: "world." }, message: { content: "Hello world." } }] }) +
      stop,
    good,
  ],
  [
    "Azure's filter results",
    frame({ choices: [], prompt_filter_results: [{ prompt_index: 0 }] }) +
      hello +
      frame({ choices: [{ index: 0, content_filter_results: {}, content_filter_offsets: {} }] }) +
      stop,
    good,
  ],
  [
    "several choices",
    frame({ choices: [{ index: 1, delta: { content: "No." } }] }).replace("No.", "") + hello + stop,
    good,
  ],
  ["a refusal", chunk({ refusal: "No." }) + stop, { text: "", finish: "stop", failed: null }],
  [
    "a character split across deltas",
    chunk({ content: "A \ud83d" }).replace("\\ud83d", "\\ud83d") + chunk({ content: "\ude00." }) + stop,
    { text: "A \u{1f600}." },
  ],
  ["NUL", chunk({ content: "a\0b" }) + stop, { text: "a\0b" }],
  ["an unescaped control character", chunk({ content: "a\tb" }).replace("\\t", "\t") + stop, { text: "a\tb" }],
  ["NaN", chunk({ content: "NaN." }, null, { n: 1 }).replace('"n":1', '"n":NaN') + stop, { text: "NaN." }],
  // Usage.
  [
    "usage null",
    chunk({ content: "Hello world." }, null, { usage: null }) + stop + usage + done,
    { ...good, tokens: 7 },
  ],
  ["usage in Groq's field", hello + chunk({}, "stop", { x_groq: { usage: { total_tokens: 7 } } }) + done, counted],
  [
    "usage in the choice",
    hello + frame({ choices: [{ delta: {}, finish_reason: "stop", usage: { total_tokens: 7 } }] }) + done,
    counted,
  ],
  [
    "usage under other names",
    hello + stop + frame({ choices: [], usage: { input_tokens: 3, output_tokens: 4, total_tokens: 7 } }) + done,
    counted,
  ],
  // Pages.
  [
    "citations beside the choices, in each chunk",
    chunk({ content: "Hello " }, null, { citations: ["https://a.example/"] }) +
      chunk({ content: "world." }, "stop", {
        citations: ["https://a.example/"],
        search_results: [{ url: "https://b.example/", title: "B" }],
      }),
    { ...good, pages: ["https://a.example/", "https://b.example/"] },
  ],
  // Ends.
  ["Cohere's finish reason", hello + chunk({}, "COMPLETE") + done, good],
  ["TGI's finish reason", hello + chunk({}, "eos_token") + done, good],
  ["finish reason as object", hello + chunk({}, { type: "length" }) + done, { text: "Hello world.", finish: "length" }],
  ["finish_details", hello + frame({ choices: [{ delta: {}, finish_details: { type: "stop" } }] }), good],
  ["Gemini's finish reason for length", hello + chunk({}, "MAX_TOKENS") + done, { finish: "length" }],
  ["Zhipu's finish reason for its filter", hello + chunk({}, "sensitive") + done, { finish: "content_filter" }],
  [
    "a server that gave up",
    hello + chunk({}, "insufficient_system_resource") + done,
    { finish: truncatedReason, failed: null },
  ],
  ["an aborted answer", hello + chunk({}, "abort") + done, { finish: truncatedReason, failed: null }],
  [
    "a lost call",
    chunk({}, "function_call_filter: MALFORMED_FUNCTION_CALL") + done,
    { finish: truncatedReason, failed: null },
  ],
  ["missing calls", hello + chunk({}, "tool_calls") + done, good],
  ["missing calls and no text", chunk({}, "tool_calls") + done, { finish: truncatedReason }],
  ["an empty error", chunk({ content: "Hello world." }, null, { error: {} }) + stop + done, good],
  // Events.
  ["a byte order mark", `\ufeff${hello}${stop}`, good],
  ["CR alone", (hello + stop + done).replaceAll("\n", "\r"), good],
  ["no space after the colon", (hello + stop + done).replaceAll("data: ", "data:"), good],
  ["names, ids and times", `event: message\nid: 7\nretry: 10\n${hello}${stop}${done}`, good],
  ["one line feed between events", (hello + stop + done).replaceAll("\n\n", "\n"), good],
  ["data on several lines", `data: {"choices":\ndata: [{"delta":{"content":"Hello world."}}]}\n\n${stop}${done}`, good],
  ["JSON lines instead of events", (hello + stop).replaceAll("data: ", "").replaceAll("\n\n", "\n"), good],
  ["a heartbeat with its own type", `data: {"type":"heartbeat"}\n\n${hello}${stop}`, good],
  [
    "an answer in one event",
    frame({ object: "chat.completion", choices: [{ message: { content: "Hello world." }, finish_reason: "stop" }] }),
    good,
  ],
];
