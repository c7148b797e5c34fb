import { setTimeout as othersRun } from "node:timers/promises";
import type { Metadata } from "next";
import { headers } from "next/headers";
import { apiDescription } from "@/app/openapi/document";
import { originOf } from "@/app/openapi/origin";
import { ReferenceContent } from "./content";
import { CopyCode } from "./copy-code";
import type { Description } from "./operations";
import { escapeHtml, staticHtml } from "./static-html";

export const metadata: Metadata = {
  title: "API reference",
  description: "Every endpoint and every wire format of this server, with examples.",
};

/** Stands for the server's address, which each request knows. */
const placeholder = "https://origin.invalid";

let made: Promise<string> | undefined;

async function make(): Promise<string> {
  const description = (await apiDescription()) as unknown as Description;
  await othersRun(0);
  return staticHtml(<ReferenceContent description={description} origin={placeholder} />);
}

/** A page of 1.5 MB takes some 40 ms: other requests run between two of them. */
const pauseMs = 20;
let last: Promise<unknown> = Promise.resolve();

/** Resolves in turn, so that many readers at once never hold the event loop together. */
function myTurn(): Promise<unknown> {
  last = last.then(() => othersRun(pauseMs));
  return last;
}

export default async function ReferencePage() {
  const origin = originOf(await headers());
  made ??= make();
  await Promise.all([made, myTurn()]);
  const html = (await made).replaceAll(placeholder, escapeHtml(origin));
  return (
    <CopyCode>
      {/* biome-ignore lint/security/noDangerouslySetInnerHtml: made of this server's own description, and escaped. */}
      <div dangerouslySetInnerHTML={{ __html: html }} />
    </CopyCode>
  );
}
