// Markdown as models write it, of any length: headings, lists, tables, code, emphasis, links.
// Deterministic.
const words = (
  "a river carries what it is given and keeps to its bed while water finds the lowest path and every bend " +
  "slows the current so that sand settles where the stream is wide and stones remain where it is fast"
).split(" ");

const blocks: ((n: number) => string)[] = [
  (n) => `## ${n}. What section ${n} says`,
  (n) => sentence(n, 60),
  (n) =>
    `- **First:** ${sentence(n, 12)}\n- *Second:* ${sentence(n + 3, 14)}\n- Third, with \`code_${n}\`: ${sentence(n + 5, 10)}`,
  (n) => sentence(n + 7, 80),
  (n) =>
    `\`\`\`ts\nexport function flow${n}(depth: number): number {\n  const bed = depth * ${n};\n  return bed > 0 ? bed : 0;\n}\n\`\`\``,
  (n) =>
    `| place | depth | speed |\n|---|---|---|\n| spring | ${n} | slow |\n| bend | ${n + 1} | slower |\n| fall | ${n + 2} | fast |`,
  (n) =>
    `1. ${sentence(n, 15)}\n2. ${sentence(n + 2, 15)} See [the map](https://example.com/${n}).\n\n> ${sentence(n + 4, 20)}`,
];

function sentence(from: number, length: number): string {
  const picked = Array.from({ length }, (_, index) => words[(from * 7 + index * 3) % words.length]).join(" ");
  return `${picked[0]?.toUpperCase()}${picked.slice(1)}.`;
}

/** About this many tokens, where a token is a word with its leading space. */
export function markdownOf(tokens: number): string {
  const parts: string[] = [];
  let count = 0;
  for (let index = 0; count < tokens; index++) {
    const block = blocks[index % blocks.length]?.(Math.floor(index / blocks.length) + 1) ?? "";
    parts.push(block);
    count += block.split(/\s+/).length;
  }
  return parts.join("\n\n");
}
