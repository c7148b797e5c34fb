"use client";
import { type FormEvent, useState } from "react";
import { api } from "@/components/api";
import { Button } from "@/components/ui/button";
import { Field } from "@/components/ui/field";
import { Problem, useAttempt } from "./problem";
import { Section } from "./section";

type PasswordProps = { email: string; onChanged: () => Promise<void> };

export function Password({ email, onChanged }: PasswordProps) {
  const { problem, pending, attempt } = useAttempt();
  const [changed, setChanged] = useState(false);
  const change = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const fields = new FormData(form);
    const field = (name: string) => String(fields.get(name) ?? "");
    setChanged(false);
    const done = await attempt(async () => {
      await api.changePassword({ currentPassword: field("current"), newPassword: field("new") });
      await onChanged();
    });
    if (!done) return;
    setChanged(true);
    form.reset();
  };
  return (
    <Section
      title="Password"
      lead="A new password signs out all your other browsers and revokes all your access tokens."
    >
      <form onSubmit={change} className="grid items-start gap-4 sm:grid-cols-2">
        {/* Tells password managers which account this is. */}
        <input type="text" name="username" autoComplete="username" value={email} readOnly hidden />
        <Field label="Current password" name="current" type="password" autoComplete="current-password" required />
        <Field
          label="New password"
          name="new"
          type="password"
          autoComplete="new-password"
          required
          minLength={8}
          hint="At least 8 characters"
        />
        <div className="sm:col-span-2">
          <Button type="submit" disabled={pending}>
            Change password
          </Button>
          <Problem text={problem} />
          {changed && (
            <p role="status" className="mt-3 rounded-lg bg-water-soft px-3 py-2 text-sm text-pretty">
              Your password has been changed. Other browsers are signed out, and all access tokens are revoked.
            </p>
          )}
        </div>
      </form>
    </Section>
  );
}
