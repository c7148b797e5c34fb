"use client";
import { Monitor, Smartphone } from "lucide-react";
import { useState } from "react";
import { api } from "@/components/api";
import { Button } from "@/components/ui/button";
import { Confirm } from "@/components/ui/confirm";
import type { BrowserSession } from "@/packages/client/src/api";
import { browserName, isPhone } from "./browser-name";
import { day } from "./day";
import { Problem, useAttempt } from "./problem";
import { Section } from "./section";

export function Sessions({ first, guest }: { first: BrowserSession[]; guest: boolean }) {
  const [sessions, setSessions] = useState(first);
  const [signingOut, setLeaving] = useState(false);
  const { problem, pending, attempt } = useAttempt();
  const end = (id: string) =>
    attempt(async () => {
      await api.endSession(id);
      setSessions(await api.listSessions());
    });
  const endAll = async () => {
    if (await attempt(() => api.endAllSessions())) window.location.assign("/sign-in");
  };
  return (
    <Section
      title="Signed in"
      lead="The browsers you are signed in with. Sign out any you do not recognise or no longer use."
    >
      <ul aria-label="Sessions" className="divide-y divide-line border-y border-line">
        {sessions.map(({ id, userAgent, current, createdAt, lastSeenAt }) => {
          const name = browserName(userAgent);
          const Icon = isPhone(userAgent) ? Smartphone : Monitor;
          return (
            <li key={id} className="flex min-h-15 items-center gap-3 py-2">
              <Icon aria-hidden="true" className="size-4 shrink-0 text-ink-3" />
              <div className="min-w-0 flex-1">
                <p className="truncate text-sm font-medium">{name}</p>
                <p className="mt-0.5 text-xs text-ink-3 tabular-nums">
                  Since {day(createdAt)} · last used {day(lastSeenAt)}
                </p>
              </div>
              {current ? (
                <span className="shrink-0 rounded-full bg-water-soft px-2.5 py-1 text-xs font-medium text-water">
                  This browser
                </span>
              ) : (
                <Button
                  aria-label={`Sign out ${name}`}
                  disabled={pending}
                  onClick={() => end(id)}
                  className="h-8! px-3!"
                >
                  Sign out
                </Button>
              )}
            </li>
          );
        })}
      </ul>
      <Problem text={problem} />
      {!guest && (
        <Button className="mt-4" disabled={pending} onClick={() => setLeaving(true)}>
          Sign out everywhere
        </Button>
      )}
      <Confirm
        open={signingOut}
        onOpenChange={setLeaving}
        title="Sign out everywhere?"
        description="This signs out all browsers, including this one. Access tokens stay valid until you revoke them."
        action="Sign out everywhere"
        onConfirm={() => void endAll()}
      />
    </Section>
  );
}
