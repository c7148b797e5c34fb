"use client";
import { SunMoon } from "lucide-react";
import { IconButton } from "./button";

const yearSeconds = 31_536_000;

/**
 * The system decides until first use. The choice is a cookie, so that the server renders the first
 * frame right.
 */
export function ThemeToggle() {
  const toggle = () => {
    const root = document.documentElement;
    const now = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    const next = now === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    // biome-ignore lint/suspicious/noDocumentCookie: the Cookie Store API does not exist on plain-HTTP hosts.
    document.cookie = `theme=${next}; path=/; max-age=${yearSeconds}; samesite=lax`;
  };
  return (
    <IconButton label="Theme" onClick={toggle}>
      <SunMoon />
    </IconButton>
  );
}
