"use client";
import { createContext, type ReactNode, useContext, useEffect } from "react";

export type Person = { id: string; name: string | null; email: string | null; guest: boolean };
export type ModelChoice = { id: string; label: string; ready: boolean };
type Session = { user: Person; models: ModelChoice[]; defaultModel: string };

const Context = createContext<Session | null>(null);

/** Constant while the page is open: the user and the models. */
export function SessionProvider({ children, ...session }: Session & { children: ReactNode }) {
  // next-auth's response renews the session cookie, so visitors who return within a year stay
  // signed in. Nothing waits for it, and missing it once does no harm.
  useEffect(() => {
    fetch("/api/auth/session").catch(() => {});
  }, []);
  return <Context value={session}>{children}</Context>;
}

export function useSession(): Session {
  const session = useContext(Context);
  if (!session) throw new Error("useSession needs a SessionProvider above it.");
  return session;
}
