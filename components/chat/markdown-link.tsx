import { ImageIcon } from "lucide-react";
import type { ComponentProps, ReactNode } from "react";
import type { ExtraProps } from "streamdown";

const allowed = new Set(["http:", "https:", "mailto:"]);

/** Null for relative addresses and every scheme that could do more than open a page or a mail. */
function parseAddress(address: unknown): URL | null {
  const url = typeof address === "string" && URL.canParse(address) ? new URL(address) : null;
  return url && allowed.has(url.protocol) ? url : null;
}

function Outward({ url, children }: { url: URL; children: ReactNode }) {
  return (
    <a href={url.href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  );
}

export function MarkdownLink({ href, children }: ComponentProps<"a"> & ExtraProps) {
  const url = parseAddress(href);
  return url ? <Outward url={url}>{children}</Outward> : <span>{children}</span>;
}

/** An address in an answer can carry what the answer knows, so an image is never fetched: it is named and linked. */
export function MarkdownImage({ src, alt }: ComponentProps<"img"> & ExtraProps) {
  const url = parseAddress(src);
  const words = alt || "Image";
  return (
    <span className="not-prose inline-flex max-w-full items-center gap-1.5 rounded-md border border-line bg-bank px-2 py-0.5 align-middle text-[0.875em] text-ink-2 [&_a]:underline [&_a]:underline-offset-2">
      <ImageIcon aria-hidden="true" className="size-3.5 shrink-0" />
      <span className="truncate">{url ? <Outward url={url}>{`${words} (${url.host})`}</Outward> : words}</span>
    </span>
  );
}
