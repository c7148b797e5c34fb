// All wire formats. A new dialect is one file plus one line here.
import { z } from "zod";
import { agent } from "./agent";
import { aiSdk } from "./ai-sdk";
import { content } from "./content";
import type { Dialect, Route } from "./dialect";
import { openai } from "./openai";
import { rag } from "./rag";
import { responses } from "./responses";
import { snapshot } from "./snapshot";
import { text } from "./text";
import { token } from "./token";

export type Match = {
  dialect: Dialect;
  route: Route;
  /** Decoded path parameters. */
  params: Record<string, string>;
};

export type Registry = {
  readonly dialects: readonly Dialect[];
  find(name: string): Dialect | null;
  /** The route for a path, with or without a trailing slash. */
  match(pathname: string): Match | null;
  /** The dialect whose error shape applies to an unknown path. */
  owner(pathname: string): Dialect | null;
};

/** Throws on duplicate names or paths. */
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
    owner: (pathname) => dialects.find(({ prefix }) => prefix && `${pathname}/`.startsWith(`${prefix}/`)) ?? null,
  };
}

export const registry = createRegistry([aiSdk, text, snapshot, content, agent, rag, token, openai, responses]);

/** Methods of a path, besides OPTIONS. */
export function methodsOf(route: Route): ("GET" | "POST" | "DELETE")[] {
  if (route.kind === "turn") return route.streams ? ["GET", "POST"] : ["POST"];
  if (route.kind === "answer") return ["GET", "DELETE"];
  return route.kind === "stop" || route.kind === "embeddings" ? ["POST"] : ["GET"];
}

const names = registry.dialects.map(({ name }) => name);

/** Query parameter that selects a reader's format. */
export const dialectQuery = z.object({
  dialect: z
    .enum(names, `must be one of ${names.join(", ")}`)
    .default(aiSdk.name)
    .describe("The wire format of the stream."),
});

function patternOf(path: string): RegExp {
  const source = path.replaceAll(".", "\\.").replace(/:(\w+)(\*?)/g, (_, name: string, rest: string) => {
    return rest ? `(?<${name}>.+?)` : `(?<${name}>[^/]+)`;
  });
  return new RegExp(`^${source}/?$`);
}

/** Undecodable values stay as they are and match nothing. */
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
