"use client";
import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { describeFailure } from "@/components/chat/answer/describe-failure";
import { Button } from "@/components/ui/button";

/** Distance from the top at which loading starts: about one screen. */
const aheadPx = 800;

type OlderMessagesProps = {
  scroller: RefObject<HTMLElement | null>;
  /** Changes after each page; null at the beginning of the conversation. */
  cursor: string | null;
  load: () => Promise<void>;
};

/** The top of a partly loaded conversation: loads older messages when scrolled into view. */
export function OlderMessages({ scroller, cursor, load }: OlderMessagesProps) {
  const top = useRef<HTMLDivElement>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const latest = useRef(load);
  latest.current = load;

  const attempt = useCallback(async () => {
    setProblem(null);
    try {
      await latest.current();
    } catch (error) {
      setProblem(describeFailure(error).message);
    }
  }, []);

  useEffect(() => {
    const mark = top.current;
    if (!mark || cursor === null) return;
    // A new observer per page reports immediately whether the top is still in view. A busy page
    // delivers several entries at once; the last one is current.
    const observer = new IntersectionObserver((entries) => entries.at(-1)?.isIntersecting && void attempt(), {
      root: scroller.current,
      rootMargin: `${aheadPx}px 0px 0px 0px`,
    });
    observer.observe(mark);
    return () => observer.disconnect();
  }, [cursor, scroller, attempt]);

  if (cursor === null) return null;
  return (
    <div ref={top} className="flex min-h-9 flex-col items-center justify-center gap-2 text-sm text-ink-3">
      <p role="status">{problem ?? "Loading older messages…"}</p>
      {problem && <Button onClick={() => void attempt()}>Load older messages</Button>}
    </div>
  );
}

/** Keeps the scroll position while messages are added above `firstId`, the page's first. */
export function useScrollAnchor(
  scroller: RefObject<HTMLElement | null>,
  content: RefObject<HTMLElement | null>,
  firstId: string | undefined,
): void {
  const before = useRef({ height: 0, top: 0 });
  const shown = useRef(firstId);

  useLayoutEffect(() => {
    const view = scroller.current;
    if (!view || firstId === shown.current) return;
    shown.current = firstId;
    // From the remembered position: the browser may or may not have anchored the scroll itself.
    view.scrollTop = before.current.top + view.scrollHeight - before.current.height;
  }, [scroller, firstId]);

  useEffect(() => {
    const view = scroller.current;
    const inner = content.current;
    if (!view || !inner) return;
    const remember = () => {
      before.current = { height: view.scrollHeight, top: view.scrollTop };
    };
    const resized = new ResizeObserver(remember);
    resized.observe(inner);
    view.addEventListener("scroll", remember, { passive: true });
    return () => {
      resized.disconnect();
      view.removeEventListener("scroll", remember);
    };
  }, [scroller, content]);
}
