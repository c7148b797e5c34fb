"use client";
import { type ComponentProps, isValidElement, useRef } from "react";
import type { ExtraProps } from "streamdown";
import { CopyButton } from "@/components/ui/copy-button";

export function CodeBlock({ children }: ComponentProps<"pre"> & ExtraProps) {
  const pre = useRef<HTMLPreElement>(null);
  const code = isValidElement<{ className?: string }>(children) ? children.props.className : undefined;
  const language = /language-(\S+)/.exec(code ?? "")?.[1];
  return (
    <div className="not-prose my-4 overflow-hidden rounded-xl border border-line bg-bank">
      <div className="flex h-9 items-center justify-between pr-1 pl-4 text-xs text-ink-3">
        <span className="font-mono">{language ?? "text"}</span>
        <CopyButton
          label="Copy code"
          text={() => pre.current?.textContent ?? ""}
          className="size-7! [&_svg]:size-3.5!"
        />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a block wider than the page is scrolled by keyboard too. */}
      <pre ref={pre} tabIndex={0} className="overflow-x-auto px-4 pt-1 pb-4 font-mono text-[0.8125rem] leading-relaxed">
        {children}
      </pre>
    </div>
  );
}
