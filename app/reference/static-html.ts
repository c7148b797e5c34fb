// Renders a tree of stateless React elements to HTML. React's own renderer takes a second of CPU
// for the reference, twice per request because a page also carries its elements as data; this HTML
// is built once. Supports plain function components, elements and text; no hooks, context or refs.
import { setImmediate as otherTasks } from "node:timers/promises";
import { Fragment, isValidElement, type ReactElement, type ReactNode } from "react";

const names: Record<string, string> = {
  className: "class",
  tabIndex: "tabindex",
  strokeWidth: "stroke-width",
  strokeLinecap: "stroke-linecap",
};

/** Other requests run between slices: far below a token gap that a reader would notice. */
const sliceMs = 10;

/** Yields to the event loop while it works. Rejects unsupported elements. */
export async function staticHtml(node: ReactNode): Promise<string> {
  let html = "";
  let sliceEndMs = performance.now() + sliceMs;
  for (const piece of pieces(node)) {
    html += piece;
    if (performance.now() < sliceEndMs) continue;
    await otherTasks();
    sliceEndMs = performance.now() + sliceMs;
  }
  return html;
}

function* pieces(node: ReactNode): Generator<string> {
  if (node === null || node === undefined || typeof node === "boolean") return;
  if (typeof node === "string" || typeof node === "number") {
    yield escapeHtml(String(node));
  } else if (Array.isArray(node)) {
    for (const child of node) yield* pieces(child);
  } else if (!isValidElement(node)) {
    throw new Error(`Not a part of a static page: ${typeof node}.`);
  } else {
    const { type, props } = node as ReactElement<Record<string, unknown>>;
    const children = props.children as ReactNode;
    if (type === Fragment) yield* pieces(children);
    else if (typeof type === "function") yield* pieces((type as (props: object) => ReactNode)(props));
    else if (typeof type !== "string") throw new Error("Not a part of a static page: a component with state.");
    else {
      yield `<${type}${attributesOf(props)}>`;
      yield* pieces(children);
      yield `</${type}>`;
    }
  }
}

function attributesOf(props: Record<string, unknown>): string {
  let html = "";
  for (const [name, value] of Object.entries(props)) {
    if (name === "children" || value === undefined || value === null || value === false) continue;
    if (typeof value === "object" || typeof value === "function") throw new Error(`No attribute of a page: ${name}.`);
    html += ` ${names[name] ?? name}="${value === true ? "" : escapeHtml(String(value))}"`;
  }
  return html;
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
