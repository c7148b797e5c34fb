// A rehype plugin: strips invisible characters from all texts of an answer, code included. A bidi
// override would show a URL or a line of code as a different one.
import { visibleText } from "@/lib/turn/foreign-text";

type Node = { type: string; value?: string; children?: Node[] };

export function visibleTexts() {
  return (tree: Node) => walk(tree);
}

function walk(node: Node): void {
  if (node.type === "text" && node.value) node.value = visibleText(node.value);
  for (const child of node.children ?? []) walk(child);
}
