"use client";
import { clsx } from "clsx";
import Link from "next/link";
import { useState } from "react";
import { CopyButton } from "@/components/ui/copy-button";
import { type CurlFormat, curlFor, formats } from "./curl";
import { Section } from "./section";

type RequestsProps = { address: string; userId: string; token: string | undefined };

/** A request to copy, with the token just created, otherwise with a variable. */
export function Requests({ address, userId, token }: RequestsProps) {
  const [format, setFormat] = useState<CurlFormat>("openai");
  const command = curlFor(format, { address, userId, token });
  return (
    <Section
      title="Try it"
      lead={
        token
          ? "This command asks a question with your new token and prints the answer as it arrives."
          : "This command asks a question and prints the answer as it arrives. Replace the placeholder with a token."
      }
    >
      <div className="overflow-hidden rounded-xl border border-line">
        <div className="flex items-center border-b border-line bg-bank">
          <fieldset className="flex min-w-0 flex-1 gap-0.5 overflow-x-auto p-1.5">
            <legend className="sr-only">Format</legend>
            {formats.map((each) => (
              <label
                key={each}
                className={clsx(
                  "cursor-pointer rounded-md px-2.5 py-1 text-[0.8125rem] whitespace-nowrap transition-colors has-focus-visible:outline-2 has-focus-visible:outline-water",
                  each === format ? "bg-raised font-medium text-ink shadow-sm" : "text-ink-2 hover:text-ink",
                )}
              >
                <input
                  type="radio"
                  name="format"
                  checked={each === format}
                  onChange={() => setFormat(each)}
                  className="sr-only"
                />
                {each}
              </label>
            ))}
          </fieldset>
          <CopyButton text={() => command} label="Copy command" className="mr-1 shrink-0" />
        </div>
        <section
          // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reached by keyboard.
          tabIndex={0}
          aria-label="Command"
          className="overflow-x-auto bg-raised p-4 focus-visible:-outline-offset-2"
        >
          <pre className="w-max font-mono text-[0.8125rem] leading-relaxed">{command}</pre>
        </section>
      </div>
      <p className="mt-3 text-sm text-ink-2">
        <Link
          href="/sse-test.html"
          prefetch={false}
          className="font-medium text-water underline-offset-4 hover:underline"
        >
          Watch a stream in the browser
        </Link>
        , frame by frame, in any format.
      </p>
    </Section>
  );
}
