import { ArrowUpRight } from "lucide-react";

// About the sample documents in every account.
const questions = [
  "How does Rivulet keep an answer when the server dies?",
  "What happens when two tabs ask at once?",
  "How do I connect my own client to the stream?",
];

/** The content of an empty chat: a welcome line and a few starter questions. */
export function Suggestions({ onAsk }: { onAsk: (question: string) => void }) {
  return (
    <div className="motion-safe:animate-[appear_240ms_ease-out]">
      <h1 className="text-[1.625rem] font-semibold tracking-[-0.028em] text-balance">What would you like to know?</h1>
      <p className="mt-2 max-w-[34rem] text-[0.9688rem] text-balance text-ink-2">
        Every answer is written to disk before you see it. Close the tab, lose the network, come back: it is still
        there.
      </p>
      <ul className="mt-7 grid border-t border-line">
        {questions.map((question) => (
          <li key={question} className="border-b border-line">
            <button
              type="button"
              onClick={() => onAsk(question)}
              className="group flex w-full items-center gap-3 py-3.5 text-left text-[0.9375rem] text-ink-2 transition-colors hover:text-ink focus-visible:-outline-offset-2"
            >
              <span className="flex-1">{question}</span>
              <ArrowUpRight
                aria-hidden="true"
                className="size-4 shrink-0 text-ink-3 transition-transform group-hover:translate-x-0.5 group-hover:-translate-y-0.5 group-hover:text-water"
              />
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
