// Every wire format there is. A new dialect is one file and one line here.
import { aiSdk } from "./ai-sdk";
import type { Dialect } from "./contract";
import { text } from "./text";

const dialects: Dialect[] = [aiSdk, text];

export function findDialect(name: string): Dialect | null {
  return dialects.find((dialect) => dialect.name === name) ?? null;
}

export const dialectNames = dialects.map((dialect) => dialect.name);
