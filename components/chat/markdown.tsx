"use client";
import { clsx } from "clsx";
import { memo } from "react";
import { type Components, defaultRehypePlugins, Streamdown } from "streamdown";
import { CitationLink } from "./citation";
import { citations } from "./citation-marks";
import { CodeBlock } from "./code-block";
import { MarkdownImage, MarkdownLink } from "./markdown-link";

// Everything here is created once: a changed identity would make Streamdown parse every block again.
// Without the `raw` plugin HTML in an answer stays text; `sanitize` is the second lock on what Markdown makes.
const rehypePlugins = [defaultRehypePlugins.sanitize, citations].filter((plugin) => plugin !== undefined);

const components: Components = {
  a: MarkdownLink,
  img: MarkdownImage,
  pre: CodeBlock,
  code: "code",
  citation: CitationLink,
  table: ({ node, ...props }) => (
    <div className="my-4 overflow-x-auto">
      <table {...props} />
    </div>
  ),
  thead: "thead",
  tbody: "tbody",
  tr: "tr",
  th: "th",
  td: "td",
  h1: "h1",
  h2: "h2",
  h3: "h3",
  h4: "h4",
  h5: "h5",
  h6: "h6",
  p: "p",
  ul: "ul",
  ol: "ol",
  li: "li",
  blockquote: "blockquote",
  hr: "hr",
  strong: "strong",
  sub: "sub",
  sup: "sup",
  section: "section",
};

/** Markdown as it arrives: finished blocks are parsed once, only the last one again with each token. */
export const Markdown = memo(function Markdown({ text, running }: { text: string; running: boolean }) {
  return (
    <div data-part="text" className={clsx("prose", running && "caret")}>
      <Streamdown
        mode="streaming"
        parseIncompleteMarkdown={running}
        controls={false}
        linkSafety={{ enabled: false }}
        rehypePlugins={rehypePlugins}
        components={components}
      >
        {text}
      </Streamdown>
    </div>
  );
});
