"use client";
import type { MouseEvent, ReactNode } from "react";
import { copyText } from "@/components/ui/copy-button";

const shownMs = 1_500;

/** Activates copy buttons in static HTML (`Code` in operation.tsx). */
export function CopyCode({ children }: { children: ReactNode }) {
  const onClick = async ({ target }: MouseEvent) => {
    const button = target instanceof Element ? target.closest<HTMLButtonElement>("button[data-copy]") : null;
    const code = button?.closest("[data-code]")?.querySelector("pre");
    if (!button || !code) return;
    button.textContent = (await copyText(code.textContent)) ? "Copied" : "Copying is not allowed here";
    setTimeout(() => {
      button.textContent = "Copy";
    }, shownMs);
  };
  // biome-ignore lint/a11y/noStaticElementInteractions: the clicks are those of the buttons inside.
  // biome-ignore lint/a11y/useKeyWithClickEvents: a button turns keys into clicks.
  return <div onClick={onClick}>{children}</div>;
}
