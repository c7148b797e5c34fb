"use client";
import { useCallback, useMemo, useSyncExternalStore } from "react";

// Small values that survive a reload: localStorage, shared by every component and tab with the same
// key.
// Without storage (private windows, full disks) the value lives as long as the page.
const fallback = new Map<string, string>();
const listeners = new Set<() => void>();

function readRaw(key: string): string | null {
  const value = fallback.get(key);
  if (value !== undefined) return value;
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** Null removes the value. */
export function writeLocalStorage(key: string, next: unknown): void {
  const value = next === null ? null : JSON.stringify(next);
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
    fallback.delete(key);
  } catch {
    if (value === null) fallback.delete(key);
    else fallback.set(key, value);
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener("storage", listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener("storage", listener);
  };
}

export function readLocalStorage(key: string): unknown {
  return parse(readRaw(key));
}

function parse(raw: string | null): unknown {
  if (raw === null) return null;
  try {
    return JSON.parse(raw);
  } catch {
    return null;
  }
}

/**
 * `accept` turns the stored value (null, or an older version's) into a value; writing null removes
 * it.
 */
export function useLocalStorage<T>(key: string, accept: (stored: unknown) => T): [T, (next: T | null) => void] {
  const raw = useSyncExternalStore(
    subscribe,
    () => readRaw(key),
    () => null,
  );
  const value = useMemo(() => accept(parse(raw)), [raw, accept]);
  const set = useCallback((next: T | null) => writeLocalStorage(key, next), [key]);
  return [value, set];
}
