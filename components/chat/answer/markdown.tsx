"use client";
import { clsx } from "clsx";
import { memo, useEffect, useMemo, useRef } from "react";
import { type Components, defaultRehypePlugins, Streamdown } from "streamdown";
import { visibleTexts } from "@/components/chat/conversation/visible-texts";
import { CitationLink } from "./citation";
import { citations } from "./citation-marks";
import { CodeBlock } from "./code-block";
import { MarkdownImage, MarkdownLink } from "./markdown-link";
import { type Sections, sectionsOf } from "./sections";

// Created once: a changed identity would make Streamdown parse every block again.
// Without the `raw` plugin HTML stays text; `sanitize` is a second line of defence.
const linkSafety = { enabled: false };
const rehypePlugins = [defaultRehypePlugins.sanitize, visibleTexts, citations].filter((plugin) => plugin !== undefined);

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

/**
 * Streaming Markdown: finished sections render once; of the last section, each token redraws only
 * the last block.
 */
export const Markdown = memo(function Markdown({ text, running }: { text: string; running: boolean }) {
  const before = useRef<Sections>(undefined);
  const sections = useMemo(() => sectionsOf(text, before.current), [text]);
  useEffect(() => {
    before.current = sections;
  }, [sections]);
  const { finished, last } = sections;
  return (
    <div data-part="text" className={clsx("prose", running && "caret")}>
      {[...finished, last].map((section, index) => (
        <Streamdown
          // biome-ignore lint/suspicious/noArrayIndexKey: the last one becomes a finished one, in its place.
          key={index}
          mode="streaming"
          className={index < finished.length ? "finished-section" : undefined}
          parseIncompleteMarkdown={running && index === finished.length}
          controls={false}
          linkSafety={linkSafety}
          rehypePlugins={rehypePlugins}
          components={components}
        >
          {section}
        </Streamdown>
      ))}
    </div>
  );
});
