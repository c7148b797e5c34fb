// Every wire format there is. A new dialect is one file and one line here.
import { z } from "zod";
import { agent } from "./agent";
import { aiSdk } from "./ai-sdk";
import { content } from "./content";
import type { Dialect, Route } from "./contract";
import { openai } from "./openai";
import { rag } from "./rag";
import { snapshot } from "./snapshot";
import { text } from "./text";
import { tokens } from "./token";

export type Match = {
  dialect: Dialect;
  route: Route;
  /** As they stand in the path, decoded. */
  params: Record<string, string>;
};

export type Registry = {
  readonly dialects: readonly Dialect[];
  find(name: string): Dialect | null;
  /** The route of a path, with or without a trailing slash. */
  match(pathname: string): Match | null;
};

/** Throws when two of them have one name or one path. */
export function createRegistry(dialects: readonly Dialect[]): Registry {
  const names = new Set(dialects.map(({ name }) => name));
  const paths = dialects.flatMap((dialect) =>
    dialect.routes.map((route) => ({ dialect, route, pattern: patternOf(route.path) })),
  );
  if (names.size < dialects.length) throw new Error("two dialects have one name");
  if (new Set(paths.map(({ pattern }) => pattern.source.replace(/\?<\w+>/g, ""))).size < paths.length)
    throw new Error("two dialects answer one path");
  return {
    dialects,
    find: (name) => dialects.find((dialect) => dialect.name === name) ?? null,
    match(pathname) {
      for (const { dialect, route, pattern } of paths) {
        const found = pattern.exec(pathname);
        if (found) return { dialect, route, params: decoded(found.groups ?? {}) };
      }
      return null;
    },
  };
}

export const registry = createRegistry([aiSdk, text, snapshot, content, agent, rag, tokens, openai]);

const names = registry.dialects.map(({ name }) => name);

/** The query by which a reader names the format it wants. */
export const dialectQuery = z.object({
  dialect: z
    .enum(names, `must be one of ${names.join(", ")}`)
    .default(aiSdk.name)
    .describe("The wire format of the stream."),
});

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replaceAll(".", "\\.").replace(/:(\w+)/g, "(?<$1>[^/]+)")}/?$`);
}

/** What cannot be decoded stays as it is, and is then the name of nothing. */
function decoded(groups: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(groups).map(([name, value]) => {
      try {
        return [name, decodeURIComponent(value)];
      } catch {
        return [name, value];
      }
    }),
  );
}
