import type { NextConfig } from "next";

const config: NextConfig = {
  // POST /api/v1/chat/ must be answered where it arrives: a client without redirects (curl without -L) would lose its body.
  skipTrailingSlashRedirect: true,
  poweredByHeader: false,
  // Native code and packages that open files beside themselves stay outside the bundle.
  serverExternalPackages: ["@node-rs/argon2", "postgres", "pino"],
  // Read at run time, so that file tracing (Vercel) carries them along.
  outputFileTracingIncludes: {
    "/*": ["./db/migrations/**/*", "./docs/**/*.md", "./README.md"],
  },
};

export default config;
