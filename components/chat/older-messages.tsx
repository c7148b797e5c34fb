"use client";
import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { Button } from "@/components/ui/button";
import { describe } from "./failure";

/** Loaded this far before the reader comes to the top: about a screen. */
const aheadPx = 800;

type OlderMessagesProps = {
  scroller: RefObject<HTMLElement | null>;
  /** Another one after each page; null at the beginning of the conversation. */
  cursor: string | null;
  load: () => Promise<void>;
};

/** The top of a conversation of which only the end is on the page. Comes into view by scrolling, and then loads what is before. */
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
      setProblem(describe(error).message);
    }
  }, []);

  useEffect(() => {
    const mark = top.current;
    if (!mark || cursor === null) return;
    // A new observer for each page says at once whether the top is still in view.
    // A busy page hears of several changes at once: the last of them is how it stands.
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

/** Keeps what the reader looks at where it is when messages are added above it. `firstId`: of the first message on the page. */
export function useStayInPlace(
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
    // From what was remembered: the browser may have moved the view by itself, or not.
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
