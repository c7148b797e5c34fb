"use client";
import { createContext, type ReactNode, useContext, useEffect } from "react";

export type Person = { id: string; name: string | null; email: string | null; guest: boolean };
export type ModelChoice = { id: string; label: string; ready: boolean };
type Session = { user: Person; models: ModelChoice[]; defaultModel: string };

const Context = createContext<Session | null>(null);

/** What does not change while the page is open: who is here and which models there are. */
export function SessionProvider({ children, ...session }: Session & { children: ReactNode }) {
  // next-auth's answer sets the session cookie anew: whoever comes back within a year stays signed in. Nothing waits
  // for it, and a visit that misses it is no loss.
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
