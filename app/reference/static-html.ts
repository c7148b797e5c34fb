// A tree of stateless React elements as HTML text. React's own renderer takes a second of CPU for the reference, and on each
// request twice, since a page also carries its elements as data; a text is made once. Only what the reference needs: plain
// functions, elements, texts; no hooks, no context, no refs.
import { Fragment, isValidElement, type ReactElement, type ReactNode } from "react";

const names: Record<string, string> = {
  className: "class",
  tabIndex: "tabindex",
  strokeWidth: "stroke-width",
  strokeLinecap: "stroke-linecap",
};

/** Throws for what it does not know. */
export function staticHtml(node: ReactNode): string {
  if (node === null || node === undefined || typeof node === "boolean") return "";
  if (typeof node === "string" || typeof node === "number") return escapeHtml(String(node));
  if (Array.isArray(node)) return node.map(staticHtml).join("");
  if (!isValidElement(node)) throw new Error(`Not a part of a static page: ${typeof node}.`);
  const { type, props } = node as ReactElement<Record<string, unknown>>;
  const children = props.children as ReactNode;
  if (type === Fragment) return staticHtml(children);
  if (typeof type === "function") return staticHtml((type as (props: object) => ReactNode)(props));
  if (typeof type !== "string") throw new Error("Not a part of a static page: a component with state.");
  return `<${type}${attributesOf(props)}>${staticHtml(children)}</${type}>`;
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
