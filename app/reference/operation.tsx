import { clsx } from "clsx";
import type { ReactNode } from "react";
import {
  curlOf,
  type Listed,
  type Media,
  type OperationResponse,
  type Parameter,
  refName,
  type Schema,
} from "./operations";
import { Fields, SchemaField, Text } from "./schema-fields";

type OperationProps = { operation: Listed; schemas: Record<string, Schema>; origin: string };

export function OperationSection({ operation, schemas, origin }: OperationProps) {
  const { operationId, method, path, summary, description, parameters = [], requestBody, responses } = operation;
  return (
    <article id={operationId} className="scroll-mt-6 border-t border-line py-10">
      <h3 className="text-lg font-semibold tracking-[-0.015em]">{summary}</h3>
      <p className="mt-2 flex items-baseline gap-2.5">
        <Method name={method} />
        <code className="font-mono text-sm wrap-anywhere">{path}</code>
      </p>
      {description && (
        <p className="mt-3 max-w-prose text-[0.9375rem] leading-relaxed text-ink-2">
          <Text>{description}</Text>
        </p>
      )}
      <Code language="shell">{curlOf(operation, origin)}</Code>
      <Parameters parameters={parameters} />
      {Object.entries(requestBody?.content ?? {}).map(([type, media]) => (
        <Part key={type} title="Body" note={type}>
          {media.schema && <Fields schema={schemas[refName(media.schema) ?? ""] ?? media.schema} />}
        </Part>
      ))}
      <Part title="Answers">
        {Object.entries(responses).map(([status, answer]) => (
          <AnswerRow key={status} status={status} answer={answer} />
        ))}
      </Part>
    </article>
  );
}

export function Method({ name, className }: { name: string; className?: string }) {
  return (
    <span
      className={clsx(
        "font-mono text-xs font-semibold",
        name.startsWith("DEL") ? "text-danger" : name === "GET" ? "text-ink-3" : "text-water",
        className,
      )}
    >
      {name}
    </span>
  );
}

/** The chat's `CodeBlock` without state; copy-code.tsx handles its button. */
function Code({ language, children }: { language: string; children: string }) {
  return (
    <div data-code="" className="my-4 overflow-hidden rounded-xl border border-line bg-bank">
      <div className="flex h-9 items-center justify-between px-4 text-xs text-ink-3">
        <span className="font-mono">{language}</span>
        <button type="button" data-copy="" className="hover:text-ink" aria-label="Copy code">
          Copy
        </button>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a block wider than the page is scrolled by keyboard too. */}
      <pre tabIndex={0} className="overflow-x-auto px-4 pt-1 pb-4 font-mono text-[0.8125rem] leading-relaxed">
        <code>{children}</code>
      </pre>
    </div>
  );
}

function Part({ title, note, children }: { title: string; note?: string; children: ReactNode }) {
  return (
    <section className="mt-6">
      <h4 className="mb-2 text-sm font-semibold">
        {title} {note && <span className="font-mono text-xs font-normal text-ink-3">{note}</span>}
      </h4>
      {children}
    </section>
  );
}

function Parameters({ parameters }: { parameters: Parameter[] }) {
  if (parameters.length === 0) return null;
  return (
    <Part title="Parameters">
      <ul className="divide-y divide-line border-y border-line">
        {parameters.map((parameter) => (
          <li key={`${parameter.in} ${parameter.name}`} className="flex gap-3 py-2">
            <span className="w-12 shrink-0 pt-0.5 text-xs text-ink-3">{parameter.in}</span>
            <SchemaField
              name={parameter.name}
              schema={{ ...parameter.schema, description: parameter.description ?? parameter.schema?.description }}
              required={parameter.required ?? false}
            />
          </li>
        ))}
      </ul>
    </Part>
  );
}

function AnswerRow({ status, answer }: { status: string; answer: OperationResponse }) {
  const media = Object.entries(answer.content ?? {});
  return (
    <details className="group border-b border-line first-of-type:border-t">
      <summary className="flex items-baseline gap-3 py-2 text-sm">
        <svg
          viewBox="0 0 24 24"
          fill="none"
          stroke="currentColor"
          strokeWidth="2"
          strokeLinecap="round"
          aria-hidden="true"
          className="size-3.5 shrink-0 self-center text-ink-3 transition-transform group-open:rotate-90"
        >
          <path d="m9 18 6-6-6-6" />
        </svg>
        <span className={clsx("font-mono text-xs font-semibold", status < "300" ? "text-water" : "text-ink-3")}>
          {status}
        </span>
        <span className="text-ink-2">
          <Text>{answer.description}</Text>
        </span>
        <span className="ml-auto shrink-0 font-mono text-xs text-ink-3 max-sm:hidden">
          {media.map(([type]) => type).join(", ")}
        </span>
      </summary>
      <div className="pb-4">
        {answer.headers && (
          <p className="text-xs text-ink-3">
            Headers: <span className="font-mono">{Object.keys(answer.headers).join(", ")}</span>
          </p>
        )}
        {media.map(([type, content]) => (
          <MediaView key={type} type={type} media={content} />
        ))}
      </div>
    </details>
  );
}

function MediaView({ type, media }: { type: string; media: Media }) {
  return (
    <div className="mt-3">
      <p className="mb-1.5 font-mono text-xs text-ink-3">{type}</p>
      {media["x-event-data"] ? (
        <div className="flex gap-1.5 text-sm text-ink-2">
          <p>
            The <code className="font-mono text-[0.86em]">data</code> of each event:
          </p>
          <Fields schema={media["x-event-data"]} />
        </div>
      ) : (
        media.schema && <Fields schema={media.schema} />
      )}
      {Object.entries(media.examples ?? {}).map(([name, { summary, value }]) => (
        <div key={name} className="mt-3">
          <p className="text-xs text-ink-3">{summary}</p>
          <Code language={typeof value === "string" ? "sse" : "json"}>
            {typeof value === "string" ? value.trimEnd() : JSON.stringify(value, null, 2)}
          </Code>
        </div>
      ))}
    </div>
  );
}
