"use client";
import { type ComponentProps, type FormEvent, type ReactNode, useState } from "react";
import { Button } from "@/components/ui/button";
import { CopyButton } from "@/components/ui/copy-button";
import { Field } from "@/components/ui/field";
import { useAttempt } from "./problem";

type Secret = { id: string; token: string };

type Verbs = {
  /** From the form's fields. */
  make: (fields: FormData) => Promise<Secret>;
  remove: (id: string) => Promise<unknown>;
  /** Reloads the list after each change. */
  refresh: () => Promise<void>;
};

/**
 * Creates and revokes tokens and links. A new secret exists only in this page's memory until the
 * page closes.
 */
export function useSecrets({ make, remove, refresh }: Verbs) {
  const [made, setMade] = useState<Secret | null>(null);
  const { attempt, problem, pending } = useAttempt();
  const create = (form: HTMLFormElement) =>
    attempt(async () => {
      setMade(await make(new FormData(form)));
      form.reset();
      await refresh();
    });
  const revoke = (id: string) =>
    attempt(async () => {
      await remove(id);
      if (made?.id === id) setMade(null);
      await refresh();
    });
  return { made, create, revoke, attempt, problem, pending };
}

type FormProps = {
  field: ComponentProps<typeof Field>;
  action: string;
  pending: boolean;
  onCreate: (form: HTMLFormElement) => unknown;
  children?: ReactNode;
};

/** One row: the purpose and the create button. */
export function SecretForm({ field, action, pending, onCreate, children }: FormProps) {
  const create = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    void onCreate(event.currentTarget);
  };
  return (
    <form onSubmit={create}>
      <div className="flex items-end gap-2">
        <div className="min-w-0 flex-1 [&_input]:w-full">
          <Field autoComplete="off" {...field} />
        </div>
        <Button type="submit" variant="primary" disabled={pending} className="h-10!">
          {action}
        </Button>
      </div>
      {children}
    </form>
  );
}

type NewSecretProps = { title: string; text: string; copyLabel: string; advice: string };

export function NewSecret({ title, text, copyLabel, advice }: NewSecretProps) {
  return (
    <div role="status" className="mt-4 rounded-xl bg-water-soft p-4">
      <p className="text-sm font-medium">{title}</p>
      <div className="mt-2 flex items-center gap-1 rounded-lg border border-line-strong bg-paper pl-3">
        <code className="min-w-0 flex-1 py-2 font-mono text-[0.8125rem] break-all select-all">{text}</code>
        <CopyButton text={() => text} label={copyLabel} className="shrink-0" />
      </div>
      <p className="mt-2 text-xs text-pretty text-ink-2">{advice}</p>
    </div>
  );
}
