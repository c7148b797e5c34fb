"use client";
import { useActionState, useState } from "react";
import { Button } from "@/components/ui/button";
import { Field } from "@/components/ui/field";
import type { SignInState } from "./actions";

type FormAction = (before: SignInState, form: FormData) => Promise<SignInState>;

type SignInFormsProps = {
  /** A signed-in guest creates an account and keeps the chats. */
  upgrade: boolean;
  signUpFirst: boolean;
  /**
   * Who may sign up. `first`: no account exists yet; `setup`: likewise, but it needs the setup
   * link.
   */
  signUp: "first" | "setup" | "open" | "invite" | "off";
  /** The token of an invitation or setup link. */
  invitation: string | null;
  guestAction: (() => Promise<SignInState>) | null;
  /** Days of absence after which a guest is deleted. */
  guestDays: number;
  signInAction: FormAction;
  signUpAction: FormAction;
};

export function SignInForms(props: SignInFormsProps) {
  const { upgrade, signUpFirst, signUp, invitation, guestAction, guestDays, signInAction, signUpAction } = props;
  const takesLink = signUp === "invite" || signUp === "setup";
  const maySignUp = signUp === "first" || signUp === "open" || (takesLink && invitation !== null);
  const [signingUp, setSigningUp] = useState(signUpFirst && maySignUp);
  return (
    <>
      <h1 className="text-xl font-semibold tracking-[-0.02em]">{signingUp ? "Create an account" : "Welcome"}</h1>
      {upgrade && maySignUp && <p className="mt-1.5 text-sm text-ink-2">You keep your chats and documents.</p>}
      {guestAction && !signingUp && <Guest action={guestAction} days={guestDays} />}
      {!guestAction && !upgrade && !signingUp && (
        <p className="mt-1.5 text-sm text-pretty text-ink-2">This server has no guest accounts. Sign in to ask.</p>
      )}
      {(signUp === "first" || signUp === "setup") && signingUp && (
        <p className="mt-1.5 text-sm text-pretty text-ink-2">
          Nobody has an account here yet. The first one administers this server.
        </p>
      )}
      {signingUp ? <SignUp action={signUpAction} invitation={invitation} /> : <SignIn action={signInAction} />}
      {maySignUp ? (
        <Switch signingUp={signingUp} onSwitch={() => setSigningUp(!signingUp)} />
      ) : (
        <Closed mode={signUp} />
      )}
    </>
  );
}

function Switch({ signingUp, onSwitch }: { signingUp: boolean; onSwitch: () => void }) {
  return (
    <p className="mt-6 text-sm text-ink-2">
      {signingUp ? "Already have an account?" : "New here?"}{" "}
      <button type="button" onClick={onSwitch} className="font-medium text-water underline-offset-4 hover:underline">
        {signingUp ? "Sign in instead" : "Create an account"}
      </button>
    </p>
  );
}

function Closed({ mode }: { mode: keyof typeof closed }) {
  return <p className="mt-6 text-sm text-pretty text-ink-2">{closed[mode]}</p>;
}

const closed = {
  off: "This server does not accept new accounts.",
  invite: "A new account needs an invitation: ask the administrator of this server for a link.",
  setup:
    "Nobody has an account here yet. The first one administers this server: open the link that the server printed when it started.",
};

function Guest({ action, days }: { action: () => Promise<SignInState>; days: number }) {
  const [state, submit, pending] = useActionState(action, null);
  return (
    <>
      <form action={submit} className="mt-6">
        <Button type="submit" variant="primary" disabled={pending} className="h-11! w-full">
          Continue as guest
        </Button>
        <Problem state={state} />
      </form>
      <p className="mt-2.5 text-xs text-pretty text-ink-3">
        No email address needed. Your chats are tied to this browser and deleted after {days} days without a visit. You
        can create an account later and keep them.
      </p>
      <div aria-hidden="true" className="my-7 flex items-center gap-3 text-xs text-ink-3">
        <span className="h-px flex-1 bg-line" />
        or with an account
        <span className="h-px flex-1 bg-line" />
      </div>
    </>
  );
}

function SignIn({ action }: { action: FormAction }) {
  const [state, submit, pending] = useActionState(action, null);
  return (
    <form action={submit} className="mt-6 grid gap-4">
      <Field label="Email" name="email" type="email" autoComplete="email" required defaultValue={state?.email} />
      <Field label="Password" name="password" type="password" autoComplete="current-password" required />
      <Problem state={state} />
      <Button type="submit" disabled={pending} className="h-11!">
        Sign in
      </Button>
    </form>
  );
}

function SignUp({ action, invitation }: { action: FormAction; invitation: string | null }) {
  const [state, submit, pending] = useActionState(action, null);
  return (
    <form action={submit} className="mt-6 grid gap-4">
      {invitation && <input type="hidden" name="invite" value={invitation} />}
      <Field label="Name" name="name" autoComplete="name" maxLength={100} defaultValue={state?.name} hint="Optional" />
      <Field label="Email" name="email" type="email" autoComplete="email" required defaultValue={state?.email} />
      <Field
        label="Password"
        name="password"
        type="password"
        autoComplete="new-password"
        required
        minLength={8}
        hint="At least 8 characters"
      />
      <Problem state={state} />
      <Button type="submit" variant="primary" disabled={pending} className="h-11!">
        Create account
      </Button>
    </form>
  );
}

function Problem({ state }: { state: SignInState }) {
  if (!state) return null;
  return (
    <p role="alert" className="rounded-lg bg-danger-soft px-3.5 py-2.5 text-sm text-pretty text-danger">
      {state.error}
    </p>
  );
}
