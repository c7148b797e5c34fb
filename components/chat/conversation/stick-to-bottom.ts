"use client";
import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";

/** Within this distance of the end, about two lines, the reader counts as at the end. */
const nearPx = 56;

/** Keeps the end of `content` in view while the reader is at the end; otherwise does not scroll. */
export function useStickToBottom(scroller: RefObject<HTMLElement | null>, content: RefObject<HTMLElement | null>) {
  const stuck = useRef(true);
  const [atEnd, setAtEnd] = useState(true);

  const toEnd = useCallback(() => {
    stuck.current = true;
    setAtEnd(true);
    if (scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  }, [scroller]);

  useLayoutEffect(toEnd, [toEnd]);

  useEffect(() => {
    const view = scroller.current;
    const inner = content.current;
    if (!view || !inner) return;
    let top = view.scrollTop;
    const onScroll = () => {
      const near = view.scrollHeight - view.scrollTop - view.clientHeight < nearPx;
      // Only the reader scrolls up; growing content never lowers scrollTop.
      if (near) stuck.current = true;
      else if (view.scrollTop < top) stuck.current = false;
      top = view.scrollTop;
      setAtEnd(near || stuck.current);
    };
    // Observers run after layout, so reading the height forces none.
    const grown = new ResizeObserver(() => {
      if (stuck.current) view.scrollTop = view.scrollHeight;
      else setAtEnd(view.scrollHeight - view.scrollTop - view.clientHeight < nearPx);
    });
    view.addEventListener("scroll", onScroll, { passive: true });
    grown.observe(inner);
    grown.observe(view);
    return () => {
      view.removeEventListener("scroll", onScroll);
      grown.disconnect();
    };
  }, [scroller, content]);

  return { atEnd, toEnd };
}
