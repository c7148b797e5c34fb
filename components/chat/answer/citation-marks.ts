// A rehype plugin: turns `[1]` and `[1, 2]` in running text into `citation` elements, which
// Markdown renders as links to the sources. Skips code, links and heading anchors. Runs after
// sanitizing, which would drop the element.
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
  // Odd indexes hold the capture group: the numbers between the brackets.
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
