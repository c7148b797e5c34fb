import path from "node:path";
import type { NextConfig } from "next";

const config: NextConfig = {
  // The packages are the product's own, and so they must lie under the root.
  turbopack: { root: path.dirname(path.dirname(import.meta.dirname)) },
  // Next looks for instrumentation.ts and proxy.ts in that root, too: those there are the product's.
  pageExtensions: ["bench.ts"],
  typescript: { ignoreBuildErrors: true },
};

export default config;
