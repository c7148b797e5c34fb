// Finds regular expressions that take more than linear time. Most text that the folders below
// process was written by users, documents or models, and one such expression lets a single message
// block the event loop.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { check } from "recheck";
import ts from "typescript";

type Expression = { file: string; line: number; source: string; flags: string };

/** Code that the server and its pages run. */
const folders = ["app", "components", "db", "lib", "packages/client/src"];
const notServed = /\.(test|contract)\.tsx?$/;

/** The line above an expression that only gets short texts; it names the bound. */
const bounded = /^\s*\/\/ Bounded: \S/;

/**
 * Every literal, and every `new RegExp` with a statically known source, unless marked as bounded.
 */
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

/** A literal, or a joined list of literals. */
function textOf(node: ts.Expression): string | undefined {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (!ts.isCallExpression(node) || !ts.isPropertyAccessExpression(node.expression)) return undefined;
  const { name, expression: list } = node.expression;
  const [separator] = node.arguments;
  if (name.text !== "join" || !ts.isArrayLiteralExpression(list) || !separator) return undefined;
  const parts = [...list.elements, separator].map((each) => (ts.isStringLiteralLike(each) ? each.text : undefined));
  return parts.includes(undefined) ? undefined : parts.slice(0, -1).join(parts.at(-1));
}

/**
 * Limited by steps, never by time: on a loaded machine a second is few steps, and linear
 * expressions would seem slow.
 */
const untimed = { timeout: null, attackTimeout: null, incubationTimeout: null, seedingTimeout: null };

/** Why an expression may take more than linear time; null when it is linear. */
export async function problemOf({ source, flags }: Pick<Expression, "source" | "flags">): Promise<string | null> {
  const result = await check(source, flags, untimed);
  if (result.status === "safe") return null;
  if (result.status === "unknown") return `cannot be judged (${result.error.kind})`;
  return `is ${result.complexity.type}; try ${result.attack.pattern}`;
}

/** True when every expression in the served folders is linear; prints those that are not. */
export async function expressionsAreLinear(): Promise<boolean> {
  const files = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.tsx?$/.test(name) && !notServed.test(name))
      .map((name) => path.join(folder, name)),
  );
  const expressions = files.flatMap((file) => expressionsIn(file, readFileSync(file, "utf8")));
  const problems = await Promise.all(
    expressions.map(async (expression) => ({ ...expression, problem: await problemOf(expression) })),
  );
  const bad = problems.filter(({ problem }) => problem !== null);
  for (const { file, line, source, problem } of bad) console.error(`${file}:${line}: /${source}/ ${problem}`);
  if (bad.length === 0) console.log(`${expressions.length} regular expressions in ${folders.join(", ")}, all linear.`);
  return bad.length === 0;
}
