import type { NextConfig } from "next";

/** The build for the failure tests, which can die on purpose (lib/kill-points.ts). Both its build and its start ask for it. */
const chaos = process.env.CHAOS_BUILD === "on";

const config: NextConfig = {
  distDir: chaos ? ".next-chaos" : ".next",
  compiler: { defineServer: { "process.env.CHAOS_BUILD": chaos ? "on" : "off" } },
  // POST /api/v1/chat/ must be answered where it arrives: a client without redirects (curl without -L) would lose its body.
  skipTrailingSlashRedirect: true,
  poweredByHeader: false,
  // Native code, packages that open files beside themselves and a vocabulary of 1 MB stay outside the bundle.
  serverExternalPackages: ["@node-rs/argon2", "postgres", "pino", "gpt-tokenizer"],
  // Types are checked by `npm run check`; the first start should not wait for them once more.
  typescript: {
    ignoreBuildErrors: true,
    // Next would add the folder of the build to tsconfig.json; a file that extends another it leaves alone.
    ...(chaos && { tsconfigPath: ".cache/tsconfig.chaos.json" }),
  },
  // A cache between builds costs the first start more than the first rebuild gains.
  experimental: { turbopackFileSystemCacheForBuild: false },
  // Read at run time, so that file tracing (Vercel) carries them along.
  outputFileTracingIncludes: {
    "/*": ["./db/migrations/**/*", "./docs/**/*.md", "./README.md", "./ARCHITECTURE.md"],
    // A process of its own, outside the bundle.
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
