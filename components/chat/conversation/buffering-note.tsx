"use client";
import { X } from "lucide-react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { useLocalStorage } from "@/components/ui/local-storage";
import { findBuffering } from "@/packages/client/src/buffering";

/** In localStorage: once closed, closed in every tab. */
const closedKey = "rivulet.buffering.closed";
/**
 * In sessionStorage: this tab's streams are known to arrive unbuffered. A tab with buffered streams
 * tests again on reload.
 */
const directKey = "rivulet.buffering.direct";

/** This page's result, for all chats; null before the test. */
let buffered: boolean | null = null;

function knownDirect(): boolean {
  try {
    return sessionStorage.getItem(directKey) !== null;
  } catch {
    return false;
  }
}

function rememberDirect(): void {
  try {
    sessionStorage.setItem(directKey, "1");
  } catch (error) {
    // Without storage the next page load tests again.
    console.warn(error);
  }
}

/** Runs `action` once the page has drawn the answer and is idle. Returns a cancel function. */
function whenIdle(action: () => void): () => void {
  if (!("requestIdleCallback" in window)) {
    const timer = setTimeout(action, 500);
    return () => clearTimeout(timer);
  }
  const request = requestIdleCallback(action);
  return () => cancelIdleCallback(request);
}

/**
 * Tests after the first answer, once per tab session, whether streams arrive unbuffered, and shows
 * a note when they do not. Before the first answer the result would be of no use.
 */
export function BufferingNote({ running }: { running: boolean }) {
  const [shown, setShown] = useState(buffered === true);
  const [open, setOpen] = useState(false);
  const [closed, setClosed] = useLocalStorage(closedKey, Boolean);
  const wasRunning = useRef(false);

  useEffect(() => {
    const ended = wasRunning.current && !running;
    wasRunning.current = running;
    if (!ended || closed || buffered !== null || knownDirect()) return;
    const leaving = new AbortController();
    const look = async () => {
      try {
        buffered = await findBuffering({}, leaving.signal);
        if (buffered) setShown(true);
        else rememberDirect();
      } catch (error) {
        // A failed test says nothing; the next answer triggers another one.
        if (!leaving.signal.aborted) console.warn(error);
      }
    };
    const callOff = whenIdle(look);
    return () => {
      callOff();
      leaving.abort();
    };
  }, [running, closed]);

  return (
    <div role="status" aria-label="Buffering" className="not-empty:pb-2.5">
      {shown && !closed && (
        <div className="flex items-center gap-1 rounded-lg border border-line bg-bank py-1 pr-1 pl-3.5 text-[0.8125rem]">
          <p className="min-w-0 flex-1 py-1 text-pretty text-ink-2">
            Something between you and the server buffers answers: they arrive late and all at once.{" "}
            <button
              type="button"
              onClick={() => setOpen(true)}
              className="font-medium text-water underline underline-offset-2"
            >
              How to fix it
            </button>
          </p>
          {/* No tooltip: it would cover the message box. */}
          <Button variant="quiet" aria-label="Close" onClick={() => setClosed(true)} className="size-8! shrink-0 px-0">
            <X />
          </Button>
        </div>
      )}
      <Fixes open={open} onOpenChange={setOpen} />
    </div>
  );
}

function Fixes({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  return (
    <Dialog
      open={open}
      onOpenChange={onOpenChange}
      title="Answers are being buffered"
      description="The server sends every word as soon as it is stored. Ten test events, sent a tenth of a second apart, arrived here all at once. No answer is lost; it only arrives late. The usual cause is a reverse proxy in front of the server."
    >
      <div className="grid gap-5 overflow-y-auto px-5 pt-1 pb-6 text-sm text-ink-2">
        <Fix name="nginx" code="proxy_buffering off;">
          The streams carry <Code>X-Accel-Buffering: no</Code>, which turns its buffering off. That does not help when{" "}
          <Code>proxy_ignore_headers</Code> names this header, or when a second nginx between this one and the server
          removes it. In that case, add this to the <Code>location</Code> of each:
        </Fix>
        <Fix name="Caddy" code={"reverse_proxy 127.0.0.1:3000 {\n\tflush_interval -1\n}"}>
          It flushes event streams immediately, unless <Code>response_buffers</Code> (<Code>buffer_responses</Code> in
          older versions) is set: remove it. To flush every response immediately:
        </Fix>
        <Fix name="Cloudflare">
          It forwards streams as they arrive by default. Check whether Response Buffering is on for the zone, or set
          “Response body buffering” to None in a Configuration Rule. Quick tunnels (<Code>trycloudflare.com</Code>) do
          not stream Server-Sent Events: use a named tunnel.
        </Fix>
        <Fix name="Test it yourself" code={open ? `curl -N ${window.location.origin}/api/health/stream` : ""}>
          Ten lines, one after the other, mean that nothing buffers. Ten lines at once mean that something does. Run it
          on the server as well, and behind each proxy: the first one where they arrive all at once is the culprit.
        </Fix>
      </div>
    </Dialog>
  );
}

function Fix({ name, code, children }: { name: string; code?: string; children: ReactNode }) {
  return (
    <section className="grid gap-2">
      <h3 className="font-medium text-ink">{name}</h3>
      <p className="text-pretty">{children}</p>
      {code && (
        <pre className="rounded-lg border border-line bg-bank px-3.5 py-2.5 font-mono text-[0.8125rem] leading-relaxed break-words whitespace-pre-wrap text-ink">
          {code}
        </pre>
      )}
    </section>
  );
}

function Code({ children }: { children: string }) {
  return <code className="font-mono text-[0.8125rem] text-ink">{children}</code>;
}
