import { setTimeout as othersRun } from "node:timers/promises";
import type { Metadata } from "next";
import { headers } from "next/headers";
import { apiDescription } from "@/app/openapi/document";
import { originOf } from "@/app/openapi/origin";
import { CopyCode } from "./copy-code";
import type { ReferenceDocument } from "./operations";
import { ReferenceContent } from "./reference-content";
import { escapeHtml, staticHtml } from "./static-html";

export const metadata: Metadata = {
  title: "API reference",
  description: "Every endpoint and every wire format of this server, with examples.",
};

/** Replaced by the server's address, which depends on the request. */
const placeholder = "https://origin.invalid";

let rendered: Promise<string> | undefined;

async function render(): Promise<string> {
  const description = (await apiDescription()) as unknown as ReferenceDocument;
  return staticHtml(<ReferenceContent description={description} origin={placeholder} />);
}

/** Sending the 1.8 MB page takes about 40 ms. Other requests run in this pause. */
const pauseMs = 20;
let last: Promise<unknown> = Promise.resolve();

/** Queues readers, so that concurrent ones do not block the event loop for all of their pages. */
function waitInQueue(): Promise<unknown> {
  last = last.then(() => othersRun(pauseMs));
  return last;
}

export default async function ReferencePage() {
  const origin = originOf(await headers());
  rendered ??= render();
  await Promise.all([rendered, waitInQueue()]);
  const html = (await rendered).replaceAll(placeholder, escapeHtml(origin));
  return (
    <CopyCode>
      {/* biome-ignore lint/security/noDangerouslySetInnerHtml: made of this server's own description, and escaped. */}
      <div dangerouslySetInnerHTML={{ __html: html }} />
    </CopyCode>
  );
}
