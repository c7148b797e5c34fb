"use client";
import { ArrowUp, Square } from "lucide-react";
import { type KeyboardEvent, useEffect, useLayoutEffect, useRef } from "react";
import { Button } from "@/components/ui/button";
import { ModelSelect } from "./model-select";
import { ScopeSelect } from "./scope-select";

/** The server's limit for one message (docs/protocol.md §6.1). */
const maxLength = 16_000;

type ComposerProps = {
  text: string;
  onText: (text: string) => void;
  running: boolean;
  onSend: () => void;
  onStop: () => void;
};

export function Composer({ text, onText, running, onSend, onStop }: ComposerProps) {
  const area = useRef<HTMLTextAreaElement>(null);
  const empty = text.trim() === "";

  // biome-ignore lint/correctness/useExhaustiveDependencies: the height follows the text.
  useLayoutEffect(() => {
    const element = area.current;
    if (!element || CSS.supports("field-sizing", "content")) return;
    element.style.height = "auto";
    element.style.height = `${element.scrollHeight}px`;
  }, [text]);

  // Not on phones, where it opens the keyboard, and never stealing the focus.
  useEffect(() => {
    const free = document.activeElement === document.body;
    if (free && matchMedia("(pointer: fine)").matches) area.current?.focus({ preventScroll: true });
  }, []);

  const onKeyDown = (event: KeyboardEvent) => {
    // In Japanese, Chinese and Korean input Enter also commits a composition; that must not send.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    if (!empty && !running) onSend();
  };

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (!empty && !running) onSend();
      }}
      className="rounded-2xl border border-line-strong bg-raised transition-[border-color,box-shadow] focus-within:border-water focus-within:ring-3 focus-within:ring-water/15"
    >
      <textarea
        ref={area}
        aria-label="Message"
        rows={1}
        maxLength={maxLength}
        enterKeyHint="send"
        placeholder="Ask about your documents, or anything"
        value={text}
        onChange={(event) => onText(event.target.value)}
        onKeyDown={onKeyDown}
        className="block field-sizing-content max-h-[min(40dvh,18rem)] min-h-12 w-full resize-none bg-transparent px-4 pt-3 pb-1 text-base leading-relaxed outline-none sm:text-[0.9688rem]"
      />
      <div className="flex items-center gap-1 px-2 pb-2">
        <ScopeSelect />
        <ModelSelect />
        <span className="flex-1" />
        {running ? (
          <Button key="stop" aria-label="Stop" onClick={onStop} className="size-9 rounded-full! px-0">
            <Square className="size-3.5! fill-current" />
          </Button>
        ) : (
          <Button
            key="send"
            type="submit"
            variant="primary"
            aria-label="Send"
            disabled={empty}
            className="size-9 rounded-full! px-0"
          >
            <ArrowUp className="size-4.5!" strokeWidth={2.4} />
          </Button>
        )}
      </div>
    </form>
  );
}
