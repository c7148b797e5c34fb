// Preloaded (`node --import`) into plain Node processes that run modules of the project: resolves
// imports like tsconfig.json and vitest.config.ts.
import { registerHooks } from "node:module";
import path from "node:path";

const root = new URL("../", import.meta.url);

registerHooks({
  resolve(specifier, context, next) {
    if (specifier === "server-only") return next(new URL("test/server-only.ts", root).href, context);
    const ours = specifier.startsWith("@/") || (/^\.{1,2}\//.test(specifier) && !path.extname(specifier));
    if (!ours || context.parentURL?.includes("/node_modules/")) return next(specifier, context);
    const url = specifier.startsWith("@/") ? new URL(specifier.slice(2), root) : new URL(specifier, context.parentURL);
    return next(`${url.href}.ts`, context);
  },
});
