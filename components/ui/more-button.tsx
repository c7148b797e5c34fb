"use client";
import { useState } from "react";
import { Button } from "./button";

/** The end of a partly loaded list. `onMore` reports its own failures. */
export function MoreButton({ onMore, label }: { onMore: () => Promise<unknown>; label: string }) {
  const [pending, setPending] = useState(false);
  const load = async () => {
    setPending(true);
    await onMore();
    setPending(false);
  };
  return (
    <div className="mt-3 flex justify-center">
      <Button onClick={load} disabled={pending}>
        {pending ? "Loading…" : label}
      </Button>
    </div>
  );
}
