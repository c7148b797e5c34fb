"use client";
import { Download } from "lucide-react";
import { type FormEvent, useState } from "react";
import { api } from "@/components/api";
import { Button } from "@/components/ui/button";
import { Confirm } from "@/components/ui/confirm";
import { Dialog } from "@/components/ui/dialog";
import { Field } from "@/components/ui/field";
import { Problem, useAttempt } from "./problem";
import { Section } from "./section";

const loss = "All your chats, documents, tasks and access tokens are deleted permanently. They cannot be recovered.";

/** Export and account deletion. */
export function YourData({ guest }: { guest: boolean }) {
  const [leaving, setLeaving] = useState(false);
  const { problem, pending, attempt } = useAttempt();
  const leave = async (proof: { password: string } | { confirm: true }) => {
    if (await attempt(() => api.deleteAccount(proof))) window.location.assign("/sign-in");
  };
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    void leave({ password: String(new FormData(event.currentTarget).get("password") ?? "") });
  };
  return (
    <Section title="Your data">
      <ul className="divide-y divide-line border-y border-line">
        <li className="flex flex-wrap items-center gap-x-4 gap-y-2 py-3.5">
          <div className="min-w-60 flex-1">
            <p className="text-sm font-medium">Download everything</p>
            <p className="mt-0.5 text-xs text-pretty text-ink-3">
              Chats, documents, tasks and your account data, as a JSON Lines file.
            </p>
          </div>
          <a
            href="/api/account/export"
            download
            className="inline-flex h-9 items-center gap-2 rounded-lg border border-line bg-raised px-3.5 text-sm font-medium transition-colors hover:border-line-strong hover:bg-hover"
          >
            <Download aria-hidden="true" className="size-4" />
            Download
          </a>
        </li>
        <li className="flex flex-wrap items-center gap-x-4 gap-y-2 py-3.5">
          <div className="min-w-60 flex-1">
            <p className="text-sm font-medium">Delete {guest ? "this guest account" : "your account"}</p>
            <p className="mt-0.5 text-xs text-pretty text-ink-3">
              Including all chats and documents. Running answers are stopped.
            </p>
          </div>
          <Button onClick={() => setLeaving(true)} disabled={pending} className="text-danger!">
            Delete account…
          </Button>
        </li>
      </ul>
      {guest ? (
        <>
          <Problem text={problem} />
          <Confirm
            open={leaving}
            onOpenChange={setLeaving}
            title="Delete this guest account?"
            description={loss}
            action="Delete for good"
            onConfirm={() => void leave({ confirm: true })}
          />
        </>
      ) : (
        <Dialog
          open={leaving}
          onOpenChange={setLeaving}
          title="Delete your account?"
          description={loss}
          className="sm:max-w-md"
        >
          <form onSubmit={submit} className="grid gap-4 px-5 pt-1 pb-5">
            <Field label="Password" name="password" type="password" autoComplete="current-password" required />
            <Problem text={problem} />
            <div className="flex justify-end gap-2">
              <Button onClick={() => setLeaving(false)}>Cancel</Button>
              <Button type="submit" variant="danger" disabled={pending}>
                {pending ? "Deleting…" : "Delete for good"}
              </Button>
            </div>
          </form>
        </Dialog>
      )}
    </Section>
  );
}
