"use client";
import { clsx } from "clsx";
import { ArrowDown } from "lucide-react";
import { Fragment, useEffect, useRef } from "react";
import { Answer } from "@/components/chat/answer/answer";
import { PendingAnswer } from "@/components/chat/answer/answer-status";
import { Composer } from "@/components/chat/composer/composer";
import { Suggestions } from "@/components/chat/composer/suggestions";
import { Button } from "@/components/ui/button";
import type { MessagePage } from "@/packages/client/src/api";
import { BufferingNote } from "./buffering-note";
import { MemoryLine, memoryBegin } from "./memory-line";
import { ConnectionLine, FailureNote } from "./notices";
import { OlderMessages, useScrollAnchor } from "./older-messages";
import { useStickToBottom } from "./stick-to-bottom";
import { useConversation } from "./use-conversation";
import { UserMessage } from "./user-message";

/** This many messages at the end are always laid out. */
const freshMessages = 6;

type ConversationProps = { chatId: string; initial: MessagePage; isNew?: boolean };

export function Conversation({ chatId, initial, isNew = false }: ConversationProps) {
  const talk = useConversation({ chatId, initial, isNew });
  const { messages } = talk;
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const { atEnd, toEnd } = useStickToBottom(scroller, content);
  useScrollAnchor(scroller, content, messages[0]?.id);
  const empty = messages.length === 0;
  const firstReadId = memoryBegin(messages);

  const lastOwnId = messages.findLast(({ role }) => role === "user")?.id;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the author wants to see the new message.
  useEffect(toEnd, [lastOwnId]);

  return (
    <div className="relative flex min-h-0 flex-1 flex-col">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the conversation is scrolled by keyboard. */}
      <div ref={scroller} tabIndex={0} className="min-h-0 flex-1 overflow-y-auto overscroll-contain outline-none">
        {/* The answer's status line announces stages; tokens are not announced. */}
        <div
          ref={content}
          role="log"
          aria-label="Conversation"
          aria-live="off"
          className={clsx(
            "mx-auto grid w-full grid-cols-1 max-w-[46rem] gap-8 px-4 pt-6 pb-8 sm:px-6 sm:pt-8",
            empty && "min-h-full content-center sm:pb-24",
          )}
        >
          {empty && <Suggestions onAsk={talk.send} />}
          <OlderMessages scroller={scroller} cursor={talk.olderCursor} load={talk.loadOlder} />
          {messages.map((message, index) => {
            const settled = index < messages.length - freshMessages;
            return message.role === "user" ? (
              <Fragment key={message.id}>
                {message.id === firstReadId && <MemoryLine />}
                <UserMessage message={message} settled={settled} />
              </Fragment>
            ) : (
              <Answer
                // Keyed by question: a continuation in another message is still the same answer.
                key={`answer-to-${messages[index - 1]?.id}`}
                message={message}
                beganMs={message.metadata?.status ? undefined : talk.beganMs(message.metadata?.turnId)}
                last={index === messages.length - 1}
                settled={settled}
                onRegenerate={talk.again}
                onContinue={talk.continueAnswer}
                onDecide={talk.decideCalls}
              />
            );
          })}
          {talk.pending && <PendingAnswer />}
          {talk.failure && (
            <FailureNote failure={talk.failure} onRetry={talk.text && !talk.running ? talk.send : undefined} />
          )}
        </div>
      </div>
      <div className="relative mx-auto w-full max-w-[46rem] px-3 pb-[max(0.75rem,env(safe-area-inset-bottom))] sm:px-6 sm:pb-5">
        {!atEnd && (
          <Button
            onClick={toEnd}
            aria-label="Jump to latest"
            className="absolute! -top-12 left-1/2 size-9 -translate-x-1/2 rounded-full! px-0 shadow-float"
          >
            <ArrowDown />
          </Button>
        )}
        <BufferingNote running={talk.running} />
        <ConnectionLine away={talk.away} />
        <Composer
          text={talk.text}
          onText={talk.setText}
          running={talk.running}
          onSend={() => talk.send()}
          onStop={talk.stop}
        />
      </div>
    </div>
  );
}
