// Regular expressions that take more than linear time on some text. Most of what the rooms below read was written by users,
// documents or models, and one such expression lets a single message hold the event loop.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { check } from "recheck";
import ts from "typescript";

type Expression = { file: string; line: number; source: string; flags: string };

/** Whatever the server and its pages run. */
const rooms = ["app", "components", "db", "lib"];
const notServed = /\.(test|contract)\.tsx?$/;

/** In the line above an expression that is given short texts only: with what bounds them. */
const bounded = /^\s*\/\/ Bounded: \S/;

/** Each literal, and each `new RegExp` of a text that is known without running it, besides those that a comment calls bounded. */
export function expressionsIn(file: string, code: string): Expression[] {
  const tree = ts.createSourceFile(file, code, ts.ScriptTarget.Latest, true);
  const found: Expression[] = [];
  const lines = code.split("\n");
  const add = (node: ts.Node, source: string, flags: string) => {
    const { line } = tree.getLineAndCharacterOfPosition(node.getStart());
    if (!bounded.test(lines[line - 1] ?? "")) found.push({ file, line: line + 1, source, flags });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isRegularExpressionLiteral(node)) {
      const end = node.text.lastIndexOf("/");
      add(node, node.text.slice(1, end), node.text.slice(end + 1));
    } else if (ts.isNewExpression(node) && node.expression.getText() === "RegExp") {
      const [source, flags] = node.arguments ?? [];
      const text = source && textOf(source);
      if (text !== undefined) add(node, text, flags && ts.isStringLiteralLike(flags) ? flags.text : "");
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

/** A literal, or a list of literals that is joined. */
function textOf(node: ts.Expression): string | undefined {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return undefined;
  const { name, expression: list } = node.expression;
  const [separator] = node.arguments;
  if (name.text !== "join" || !ts.isArrayLiteralExpression(list) || !separator) return undefined;
  const parts = [...list.elements, separator].map((each) => (ts.isStringLiteralLike(each) ? each.text : undefined));
  return parts.includes(undefined) ? undefined : parts.slice(0, -1).join(parts.at(-1));
}

/** Steps decide and never the clock: on a loaded machine a second is few of them, and a linear expression would seem slow. */
const untimed = { timeout: null, attackTimeout: null, incubationTimeout: null, seedingTimeout: null };

/** Why an expression may take more than linear time; null when it does not. */
export async function problemOf({ source, flags }: Pick<Expression, "source" | "flags">): Promise<string | null> {
  const result = await check(source, flags, untimed);
  if (result.status === "safe") return null;
  if (result.status === "unknown") return `cannot be judged (${result.error.kind})`;
  return `is ${result.complexity.type}; try ${result.attack.pattern}`;
}

/** True when every expression of the served rooms is linear; tells those that are not. */
export async function expressionsAreLinear(): Promise<boolean> {
  const files = rooms.flatMap((room) =>
    readdirSync(room, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.tsx?$/.test(name) && !notServed.test(name))
      .map((name) => path.join(room, name)),
  );
  const expressions = files.flatMap((file) => expressionsIn(file, readFileSync(file, "utf8")));
  const problems = await Promise.all(
    expressions.map(async (expression) => ({ ...expression, problem: await problemOf(expression) })),
  );
  const bad = problems.filter(({ problem }) => problem !== null);
  for (const { file, line, source, problem } of bad) console.error(`${file}:${line}: /${source}/ ${problem}`);
  if (bad.length === 0) console.log(`${expressions.length} regular expressions in ${rooms.join(", ")}, all linear.`);
  return bad.length === 0;
}
