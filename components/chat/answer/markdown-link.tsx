import { ImageIcon } from "lucide-react";
import type { ComponentProps, ReactNode } from "react";
import type { ExtraProps } from "streamdown";
import { visibleLine } from "@/lib/turn/foreign-text";
import { undeclaredHost } from "./claimed-host";

const allowed = new Set(["http:", "https:", "mailto:"]);

/** Null for relative URLs and for every scheme that does more than open a page or a mail. */
function parseAddress(address: unknown): URL | null {
  const url = typeof address === "string" && URL.canParse(address) ? new URL(address) : null;
  return url && allowed.has(url.protocol) ? url : null;
}

function ExternalLink({ url, children }: { url: URL; children: ReactNode }) {
  return (
    <a href={url.href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

/** Bidi-isolated, so that neither text can reorder the other. */
export function MarkdownLink({ href, children, node }: ComponentProps<"a"> & ExtraProps) {
  const url = parseAddress(href);
  if (!url) return <span>{children}</span>;
  const host = undeclaredHost(textOf(node), url);
  return (
    <>
      <ExternalLink url={url}>
        <bdi>{children}</bdi>
      </ExternalLink>
      {host && (
        <bdi dir="ltr" className="text-[0.875em] text-ink-3">
          {" "}
          ({visibleLine(host)})
        </bdi>
      )}
    </>
  );
}

type Node = { value?: unknown; children?: unknown[] };

function textOf(node: unknown): string {
  const { value, children = [] } = (node ?? {}) as Node;
  return typeof value === "string" ? value : children.map(textOf).join("");
}

/**
 * An image URL in an answer can exfiltrate what the answer knows, so it is never fetched: only
 * named and linked.
 */
export function MarkdownImage({ src, alt }: ComponentProps<"img"> & ExtraProps) {
  const url = parseAddress(src);
  const words = visibleLine(alt ?? "") || "Image";
  return (
    <span className="not-prose inline-flex max-w-full items-center gap-1.5 rounded-md border border-line bg-bank px-2 py-0.5 align-middle text-[0.875em] text-ink-2 [&_a]:underline [&_a]:underline-offset-2">
      <ImageIcon aria-hidden="true" className="size-3.5 shrink-0" />
      <span className="truncate">
        {url ? <ExternalLink url={url}>{`${words} (${url.host})`}</ExternalLink> : words}
      </span>
    </span>
  );
}
