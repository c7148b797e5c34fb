// A rehype plugin: `[1]` and `[1, 2]` in running text become `citation` elements, which Markdown draws as links to
// the sources. Code, links and headings' anchors are left alone. Runs after sanitizing, which would drop the element.
type Node = { type: string; tagName?: string; value?: string; children?: Node[]; properties?: Record<string, unknown> };

const mark = /\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]/;
const untouched = new Set(["code", "pre", "a"]);

export function citations() {
  return (tree: Node) => walk(tree);
}

function walk(node: Node): void {
  if (!node.children || untouched.has(node.tagName ?? "")) return;
  node.children = node.children.flatMap((child) => {
    if (child.type === "text") return split(child);
    walk(child);
    return [child];
  });
}

function split(text: Node): Node[] {
  // An odd place holds what the group caught: the numbers between the brackets.
  return (text.value ?? "").split(mark).flatMap((piece, index): Node[] => {
    if (index % 2 === 0) return piece ? [{ type: "text", value: piece }] : [];
    return piece.split(",").map((number) => ({
      type: "element",
      tagName: "citation",
      properties: { ordinal: number.trim() },
      children: [],
    }));
  });
}
