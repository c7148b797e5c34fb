import path from "node:path";
import type { NextConfig } from "next";

const config: NextConfig = {
  // Uses the product's own packages, which must lie under the root.
  turbopack: { root: path.dirname(path.dirname(import.meta.dirname)) },
  // Next also looks for instrumentation.ts and proxy.ts in that root; those belong to the product.
  pageExtensions: ["bench.ts"],
  typescript: { ignoreBuildErrors: true },
};

export default config;
