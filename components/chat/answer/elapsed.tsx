import { useEffect, useState } from "react";

/** Whole seconds; from one minute on, minutes and seconds. */
export function wholeSeconds(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** The time since a `performance.now()` moment, redrawn every second and never announced. */
export function Elapsed({ sinceMs }: { sinceMs: number }) {
  const [nowMs, setNowMs] = useState(() => performance.now());
  useEffect(() => {
    const timer = setInterval(() => setNowMs(performance.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return (
    <span aria-hidden="true" data-part="elapsed" className="text-ink-3 tabular-nums">
      {wholeSeconds(nowMs - sinceMs)}
    </span>
  );
}
