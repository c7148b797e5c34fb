// Downloads shared by all clones. Runs on Node 20, before `npm ci`: node: modules only.
import { accessSync, constants, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";

/** The user's cache, shared by all clones; the clone's own without a writable home. */
export function cacheFolder() {
  const shared = path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), ".cache"), "rivulet");
  try {
    mkdirSync(shared, { recursive: true });
    accessSync(shared, constants.W_OK);
    return shared;
  } catch {
    const own = path.resolve(".cache");
    mkdirSync(own, { recursive: true });
    return own;
  }
}
