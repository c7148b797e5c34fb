import Link from "next/link";
import type { FailureNotice } from "@/components/chat/answer/describe-failure";
import { Button } from "@/components/ui/button";
import { Mark } from "@/components/ui/mark";

/**
 * Always mounted, so that screen readers announce changes; visible only while the stream is
 * disconnected.
 */
export function ConnectionLine({ away }: { away: boolean }) {
  return (
    <p
      role="status"
      aria-label="Connection"
      className="flex items-center gap-2 text-[0.8125rem] text-ink-2 not-empty:pb-2.5"
    >
      {away && (
        <>
          <Mark flowing className="size-3.5 text-water" />
          Reconnecting…
        </>
      )}
    </p>
  );
}

export function FailureNote({ failure, onRetry }: { failure: FailureNotice; onRetry: (() => void) | undefined }) {
  return (
    <div role="alert" className="flex flex-wrap items-center gap-3 rounded-lg bg-danger-soft px-3.5 py-2.5 text-sm">
      <p className="min-w-0 flex-1 text-pretty text-danger">{failure.message}</p>
      {failure.signIn && (
        <Link href="/sign-in" className="font-medium underline underline-offset-2">
          Sign in again
        </Link>
      )}
      {onRetry && !failure.signIn && (
        <Button onClick={() => onRetry()} className="h-8! text-xs">
          Retry
        </Button>
      )}
    </div>
  );
}
