// The recipes of CONTRIBUTING.md, applied to a copy: their fenced blocks with a path are new files,
// or diffs of existing ones.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { onTestFinished } from "vitest";

const root = path.dirname(import.meta.dirname);

type Block = { language: string; file: string; text: string };

export type Recipe = {
  /** The copy: the files of the recipe and the folders around them. */
  folder: string;
  /** Paths of the files it adds or changes. */
  files: string[];
  /** The commands of its `sh` blocks. */
  commands: string[];
  /** The text of a file in the copy, else of the original. */
  read(file: string): string;
  /** The module of a file in the copy. Imports find the copy first. */
  load<Module>(file: string): Promise<Module>;
};

/**
 * Applies the first `steps` blocks of a recipe, or all of them, to a copy that is deleted with the
 * test. `also` names files and folders to copy as well. Throws if a diff does not fit exactly one place.
 */
export function applyRecipe(title: string, { steps = Infinity, also = [] as string[] } = {}): Recipe {
  // In the project, so that its packages resolve.
  mkdirSync(path.join(root, ".cache"), { recursive: true });
  const folder = mkdtempSync(path.join(root, ".cache/recipe-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const inCopy = (file: string) => path.join(folder, file);
  const read = (file: string) => readFileSync(path.join(existsSync(inCopy(file)) ? folder : root, file), "utf8");

  const blocks = blocksOf(title);
  const applied = blocks.filter(({ file }) => file !== "").slice(0, steps);
  for (const { language, file, text } of applied) {
    copyModules(path.dirname(file), folder);
    if (language !== "diff" && existsSync(path.join(root, file))) throw new Error(`${file} exists already`);
    const changed = language === "diff" ? patched(file, read(file), text) : text;
    mkdirSync(path.dirname(inCopy(file)), { recursive: true });
    writeFileSync(inCopy(file), changed);
  }
  for (const each of also) cpSync(path.join(root, each), inCopy(each), { recursive: true });
  for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(isModule)) {
    const local = read(file).replace(/(from|import) "@\/([^"]+)"/g, (whole, keyword: string, name: string) =>
      existsSync(inCopy(`${name}.ts`)) ? `${keyword} "${inCopy(name)}"` : whole,
    );
    writeFileSync(inCopy(file), local);
  }
  return {
    folder,
    files: [...new Set(applied.map(({ file }) => file))],
    commands: blocks.filter(({ language }) => language === "sh").map(({ text }) => text.trim()),
    read,
    load: (file) => import(/* @vite-ignore */ pathToFileURL(inCopy(file)).href),
  };
}

/** The titles of all recipes. */
export function listRecipes(): string[] {
  return [...readRecipes().keys()];
}

function blocksOf(title: string): Block[] {
  const blocks = readRecipes().get(title);
  if (!blocks) throw new Error(`CONTRIBUTING.md has no recipe “${title}”`);
  return blocks;
}

/** The blocks of each recipe, by title. */
function readRecipes(): Map<string, Block[]> {
  const text = readFileSync(path.join(root, "CONTRIBUTING.md"), "utf8");
  const recipes = new Map<string, Block[]>();
  let blocks: Block[] = [];
  // A heading inside a block is not one.
  for (const found of text.matchAll(/^### (.+?)$|^```(\w*) ?(\S*)\n(.*?)^```$/gms)) {
    const [, title, language = "", file = "", block = ""] = found;
    if (title) {
      blocks = [];
      recipes.set(title, blocks);
    } else blocks.push({ language, file, text: block });
  }
  return recipes;
}

const isModule = (file: string) => /\.tsx?$/.test(file) && !/\.test\.tsx?$/.test(file);

/** Siblings are imported by relative path, so a changed module needs its whole folder. */
function copyModules(place: string, folder: string): void {
  if (!existsSync(path.join(root, place)) || place === ".") return;
  mkdirSync(path.join(folder, place), { recursive: true });
  for (const file of readdirSync(path.join(root, place)).filter(isModule)) {
    const target = path.join(folder, place, file);
    if (!existsSync(target)) cpSync(path.join(root, place, file), target);
  }
}

function patched(file: string, text: string, diff: string): string {
  const lines = diff.trimEnd().split("\n");
  const side = (omitted: string) =>
    lines
      .filter((line) => !line.startsWith(omitted))
      .map((line) => `${line.slice(1)}\n`)
      .join("");
  const [before, ...others] = `\n${text}`.split(`\n${side("+")}`);
  if (before === undefined || others.length !== 1)
    throw new Error(`the lines that the recipe changes occur ${others.length} times in ${file}`);
  return `${before}\n${side("-")}${others[0]}`.slice(1);
}
