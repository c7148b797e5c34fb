// A chat is a tree: an answer made again is a sibling of the first. This is the path that is in view. Pure.

type Node = { id: string; parentId: string | null };

/** From the root to `leafId` (default: the newest message), oldest first. `nodes` in the order in which they were made. */
export function branchOf<T extends Node>(nodes: T[], leafId?: string): T[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const branch: T[] = [];
  let node = leafId ? byId.get(leafId) : nodes.at(-1);
  while (node) {
    branch.push(node);
    byId.delete(node.id);
    node = node.parentId ? byId.get(node.parentId) : undefined;
  }
  return branch.reverse();
}
