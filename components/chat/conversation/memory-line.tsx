import type { ChatMessage } from "@/lib/turn/chunks";

/** The first message included in the latest answer's prompt; undefined when all were. */
export function memoryBegin(messages: ChatMessage[]): string | undefined {
  return messages.findLast(({ role, metadata }) => role === "assistant" && metadata?.status)?.metadata?.memory
    ?.firstMessageId;
}

/** Drawn above that message. */
export function MemoryLine() {
  return (
    <p className="flex items-center gap-3 text-xs text-ink-3 before:h-px before:flex-1 before:bg-line after:h-px after:flex-1 after:bg-line">
      The model did not read the messages above
    </p>
  );
}
