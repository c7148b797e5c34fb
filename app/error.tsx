"use client";
import { Button } from "@/components/ui/button";
import { Wordmark } from "@/components/ui/mark";

/** Fallback when a page cannot be rendered, for example without the database. */
export default function ErrorPage({ error }: { error: Error & { digest?: string } }) {
  return (
    <main className="mx-auto grid min-h-dvh max-w-sm content-center justify-items-start gap-3 px-6">
      <Wordmark />
      <h1 className="mt-4 text-xl font-semibold tracking-[-0.02em]">This page cannot be shown right now</h1>
      <p className="text-sm text-pretty text-ink-2">
        Your chats are safe. The server may be starting, or its database may be unreachable for a moment.
      </p>
      {error.digest && <p className="font-mono text-xs text-ink-3">Reference {error.digest}</p>}
      <Button variant="primary" onClick={() => location.reload()} className="mt-2">
        Try again
      </Button>
    </main>
  );
}
