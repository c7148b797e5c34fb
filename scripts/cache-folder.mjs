// Where downloads stay that do not belong to one clone. Runs on Node 20 and before `npm ci`: nothing but node: modules here.
import { accessSync, constants, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";

/** The user's cache, which all clones share; the clone's own where there is no writable home. */
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
