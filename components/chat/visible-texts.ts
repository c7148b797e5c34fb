// A rehype plugin: takes invisible characters out of all texts of an answer, code included. An override of the writing
// direction would show an address or a line of code as another one than it is.
import { visibleText } from "@/lib/turn/foreign-text";

type Node = { type: string; value?: string; children?: Node[] };

export function visibleTexts() {
  return (tree: Node) => walk(tree);
}

function walk(node: Node): void {
  if (node.type === "text" && node.value) node.value = visibleText(node.value);
  for (const child of node.children ?? []) walk(child);
}
