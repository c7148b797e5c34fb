import { useState } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { expect, it } from "vitest";
import { apiDescription } from "@/app/openapi/document";
import type { ReferenceDocument } from "./operations";
import { ReferenceContent } from "./reference-content";
import { staticHtml } from "./static-html";

/** Normalizes entity spelling and void elements, where React's output differs. */
const normal = (html: string) =>
  html
    .replaceAll("&#38;", "&amp;")
    .replaceAll("&#60;", "&lt;")
    .replaceAll("&#62;", "&gt;")
    .replaceAll("&#34;", "&quot;")
    .replaceAll("&#39;", "&#x27;");

it("renders the reference as React would", async () => {
  const description = (await apiDescription()) as unknown as ReferenceDocument;
  const content = <ReferenceContent description={description} origin="https://origin.invalid" />;
  const html = await staticHtml(content);
  expect(normal(html)).toBe(renderToStaticMarkup(content));
  expect(html.length).toBeGreaterThan(100_000);
});

it("escapes text and attributes, and rejects stateful components", async () => {
  expect(await staticHtml(<a href={'"><script>'}>{"<b>&'"}</a>)).toBe(
    '<a href="&#34;&#62;&#60;script&#62;">&#60;b&#62;&#38;&#39;</a>',
  );
  const Stateful = () => useState(0)[0];
  await expect(staticHtml(<Stateful />)).rejects.toThrow();
  await expect(staticHtml(<p style={{ color: "red" }} />)).rejects.toThrow("style");
});
