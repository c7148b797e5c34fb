// Answers with tool calls as servers stream them (see docs/providers.md), and their meaning.
import { type Answer, chunk, done, frame, hello, type Meaning, stop } from "./provider-answers";

const call = (value: object) => chunk({ tool_calls: [value] });
const milk = { name: "add_task", arguments: '{"title":"Milk"}' };
const ran: Partial<Meaning> = { calls: [{ id: "a", ...milk }], finish: "tool_calls", failed: null };
const both = {
  calls: [
    { id: "a", ...milk },
    { id: "b", ...milk },
  ],
};
/** A call with its arguments in these pieces. */
const pieces = (...texts: string[]) =>
  call({ index: 0, id: "a", function: { name: "add_task", arguments: "" } }) +
  texts.map((text) => call({ index: 0, function: { arguments: text } })).join("") +
  chunk({}, "tool_calls");

/** What a server sends, and its meaning. */
export const callAnswers: Answer[] = [
  [
    "a call in pieces",
    call({ index: 0, id: "a", function: { name: "add_task", arguments: "" } }) +
      call({ index: 0, function: { arguments: '{"title"' } }) +
      call({ index: 0, function: { arguments: ':"Milk"}' } }) +
      chunk({}, "tool_calls"),
    ran,
  ],
  [
    "arguments as an object",
    call({ index: 0, id: "a", type: "function", function: { name: "add_task", arguments: { title: "Milk" } } }) +
      chunk({}, "tool_calls"),
    ran,
  ],
  ["an empty type and no index", call({ id: "a", type: "", function: milk }) + chunk({}, "tool_calls"), ran],
  [
    "pieces without index and id",
    call({ id: "a", function: { name: "add_task", arguments: '{"title"' } }) +
      call({ function: { arguments: ':"Milk"}' } }) +
      chunk({}, "tool_calls"),
    ran,
  ],
  [
    "a name that arrives late",
    call({ index: 0, id: "a", function: { name: "", arguments: "" } }) +
      call({ index: 0, function: milk }) +
      chunk({}, "tool_calls"),
    ran,
  ],
  [
    "a number as id",
    call({ index: 0, id: 7, function: milk }) + chunk({}, "tool_calls"),
    { calls: [{ id: "7", ...milk }] },
  ],
  [
    "no id at all",
    call({ index: 0, function: milk }) + chunk({}, "tool_calls"),
    { calls: [{ id: "call_0", ...milk }] },
  ],
  [
    "two calls with index 0",
    call({ index: 0, id: "a", function: milk }) + call({ index: 0, id: "b", function: milk }) + chunk({}, "tool_calls"),
    {
      calls: [
        { id: "a", ...milk },
        { id: "b", ...milk },
      ],
    },
  ],
  [
    "two calls in one delta without index",
    chunk({
      tool_calls: [
        { id: "a", function: milk },
        { id: "b", function: milk },
      ],
    }) + done,
    {
      calls: [
        { id: "a", ...milk },
        { id: "b", ...milk },
      ],
      finish: "tool_calls",
    },
  ],
  ["a call with finish reason stop", call({ index: 0, id: "a", function: milk }) + stop, ran],
  ["a call with finish reason tool_use", call({ index: 0, id: "a", function: milk }) + chunk({}, "tool_use"), ran],
  ["a call with an empty finish reason", call({ index: 0, id: "a", function: milk }) + chunk({}, "") + done, ran],
  [
    "a call in the legacy format",
    chunk({ function_call: milk }) + chunk({}, "function_call"),
    { calls: [{ id: "call_0", ...milk }], finish: "tool_calls" },
  ],
  [
    "a call with a signature",
    call({ index: 0, id: "a", function: milk, extra_content: { google: { thought_signature: "s" } } }) + stop,
    { calls: [{ id: "a", ...milk, extra: { google: { thought_signature: "s" } } }] },
  ],
  [
    "no arguments",
    call({ index: 0, id: "a", function: { name: "list_tasks", arguments: null } }) + chunk({}, "tool_calls"),
    { calls: [{ id: "a", name: "list_tasks", arguments: "" }], finish: "tool_calls" },
  ],
  [
    "null as arguments",
    call({ index: 0, id: "a", function: { name: "list_tasks", arguments: "null" } }) + chunk({}, "tool_calls"),
    { calls: [{ id: "a", name: "list_tasks", arguments: "" }] },
  ],
  ["an empty object first", pieces("{}", '{"title":', '"Milk"}'), ran],
  [
    "an empty object alone",
    call({ index: 0, id: "a", function: { name: "list_tasks", arguments: "{}" } }) + chunk({}, "tool_calls"),
    { calls: [{ id: "a", name: "list_tasks", arguments: "{}" }] },
  ],
  ["arguments that grow", pieces("{", '{"title":', '{"title":"Milk"}'), ran],
  ["arguments repeated at the end", pieces('{"title":', '"Milk"}', '{"title":"Milk"}'), ran],
  ["arguments as JSON inside JSON", pieces('"{\\"title\\":', '\\"Milk\\"}"'), ran],
  ["something after the arguments", pieces('{"title":"Milk"}', "\n", "}"), ran],
  [
    "the id and the name in each piece",
    ['{"title":', '"Milk"}']
      .map((text) => call({ index: 0, id: "a", function: { name: "add_task", arguments: text } }))
      .join("") + chunk({}, "tool_calls"),
    ran,
  ],
  [
    "a new id in each piece",
    call({ index: 0, id: "a", function: { name: "add_task", arguments: '{"title":' } }) +
      call({ index: 0, id: "b", function: { arguments: '"Milk"}' } }) +
      chunk({}, "tool_calls"),
    ran,
  ],
  [
    "interleaved pieces of two calls",
    call({ index: 0, id: "a", function: { name: "add_task", arguments: "" } }) +
      call({ index: 1, id: "b", function: { name: "add_task", arguments: "" } }) +
      call({ index: 0, function: { arguments: '{"title"' } }) +
      call({ index: 1, function: { arguments: '{"title"' } }) +
      call({ index: 0, function: { arguments: ':"Milk"}' } }) +
      call({ index: 1, function: { arguments: ':"Milk"}' } }) +
      chunk({}, "tool_calls"),
    both,
  ],
  [
    "one id for two calls",
    call({ index: 0, id: "a", function: milk }) + call({ index: 1, id: "a", function: milk }) + chunk({}, "tool_calls"),
    {
      calls: [
        { id: "a", ...milk },
        { id: "a_1", ...milk },
      ],
    },
  ],
  [
    "two calls without index and id",
    chunk({ tool_calls: [{ function: milk }, { function: milk }] }) + chunk({}, "tool_calls"),
    {
      calls: [
        { id: "call_0", ...milk },
        { id: "call_1", ...milk },
      ],
    },
  ],
  [
    "two calls without index and id, one after the other",
    call({ function: milk }) + call({ function: { name: "list_tasks", arguments: "{}" } }) + chunk({}, "tool_calls"),
    {
      calls: [
        { id: "call_0", ...milk },
        { id: "call_1", name: "list_tasks", arguments: "{}" },
      ],
    },
  ],
  ["fields without function", call({ id: "a", ...milk }) + chunk({}, "tool_calls"), ran],
  [
    "an object instead of the list",
    chunk({ tool_calls: { 0: { id: "a", function: milk } } }) + chunk({}, "tool_calls"),
    ran,
  ],
  [
    "an empty call beside the text",
    chunk({ content: "Hello world.", tool_calls: [{ index: 0, id: "", function: { name: "", arguments: "" } }] }) +
      stop,
    { text: "Hello world.", calls: [], finish: "stop" },
  ],
  ["a call and its text", hello + call({ index: 0, id: "a", function: milk }) + stop, { ...ran, text: "Hello world." }],
  [
    "a call in a message",
    frame({ choices: [{ message: { tool_calls: [{ id: "a", function: milk }] }, finish_reason: "stop" }] }),
    ran,
  ],
];
