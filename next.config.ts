import type { NextConfig } from "next";

/**
 * The build for the failure tests, which can crash on purpose (lib/kill-points.ts). Its build and
 * its start both set this.
 */
const chaos = process.env.CHAOS_BUILD === "on";

const config: NextConfig = {
  distDir: chaos ? ".next-chaos" : ".next",
  compiler: { defineServer: { "process.env.CHAOS_BUILD": chaos ? "on" : "off" } },
  // Answer POST /api/v1/chat/ directly: a client that follows no redirects (curl without -L) would
  // lose its body.
  skipTrailingSlashRedirect: true,
  poweredByHeader: false,
  // Not bundled: native code, packages that open adjacent files, and a 1 MB vocabulary.
  serverExternalPackages: ["@node-rs/argon2", "postgres", "pino", "gpt-tokenizer"],
  // `npm run check` checks types; the first start should not wait for them again.
  typescript: {
    ignoreBuildErrors: true,
    // Next would add the build folder to tsconfig.json; it leaves a file with `extends` alone.
    ...(chaos && { tsconfigPath: ".cache/tsconfig.chaos.json" }),
  },
  // A cache between builds costs the first start more than it saves on a rebuild.
  experimental: { turbopackFileSystemCacheForBuild: false },
  // Read at run time; file tracing (Vercel) must include them.
  outputFileTracingIncludes: {
    "/*": ["./db/migrations/**/*", "./docs/**/*.md", "./README.md", "./ARCHITECTURE.md"],
    // A separate process, outside the bundle.
    "/api/documents": [
      "./lib/retrieval/*.ts",
      "./lib/*.ts",
      "./scripts/imports.mjs",
      "./package.json",
      "./node_modules/@langchain/**/*.js",
    ],
  },
};

export default config;
