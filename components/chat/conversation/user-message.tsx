import { clsx } from "clsx";
import { memo } from "react";
import type { ChatMessage } from "@/lib/turn/chunks";
import { textOf } from "@/lib/turn/fold";

export const UserMessage = memo(function UserMessage({ message, settled }: { message: ChatMessage; settled: boolean }) {
  return (
    <article aria-label="Your message" className={clsx("flex justify-end", settled && "settled-message")}>
      <p className="max-w-[85%] rounded-2xl rounded-br-md bg-water-soft px-4 py-2.5 text-[0.9688rem] leading-relaxed wrap-anywhere whitespace-pre-wrap">
        {textOf(message)}
      </p>
    </article>
  );
});
