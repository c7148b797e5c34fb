import { Wordmark } from "@/components/ui/mark";
import { Method, OperationSection } from "./operation";
import { groupsOf, type OperationGroup, type ReferenceDocument } from "./operations";
import { Fields, Text } from "./schema-fields";

/** The whole reference. Stateless, so that it can be rendered once (static-html.ts). */
export function ReferenceContent({ description, origin }: { description: ReferenceDocument; origin: string }) {
  const groups = groupsOf(description);
  const schemas = Object.entries(description.components.schemas);
  return (
    <div className="mx-auto max-w-6xl px-5 lg:grid lg:grid-cols-[17rem_minmax(0,1fr)] lg:gap-12">
      <Contents groups={groups} />
      <main className="min-w-0 py-10 lg:py-12">
        <h1 className="text-[1.75rem] font-semibold tracking-[-0.025em]">API reference</h1>
        {description.info.description.split("\n\n").map((paragraph) => (
          <p key={paragraph} className="mt-4 max-w-prose leading-relaxed text-ink-2">
            <Text>{paragraph}</Text>
          </p>
        ))}
        <p className="mt-5 text-sm">
          <a href="/openapi.json" className="font-medium text-water underline underline-offset-4">
            openapi.json
          </a>
          <span className="text-ink-3"> · OpenAPI 3.1, for Postman, Apidog and code generators</span>
        </p>
        {groups.map((group) => (
          <section key={group.name} className="mt-14">
            <h2 className="text-xl font-semibold tracking-[-0.02em]">{group.name}</h2>
            <p className="mt-1 mb-6 text-ink-2">
              <Text>{group.description}</Text>
            </p>
            {group.operations.map((operation) => (
              <OperationSection
                key={operation.operationId}
                operation={operation}
                schemas={description.components.schemas}
                origin={origin}
              />
            ))}
          </section>
        ))}
        <section className="mt-14">
          <h2 className="text-xl font-semibold tracking-[-0.02em]">Schemas</h2>
          {schemas.map(([name, schema]) => (
            <article
              key={name}
              id={`schema-${name}`}
              className="scroll-mt-6 border-t border-line py-6 first-of-type:mt-6"
            >
              <h3 className="mb-3 font-mono text-sm font-semibold">{name}</h3>
              <Fields schema={schema} />
            </article>
          ))}
        </section>
      </main>
    </div>
  );
}

function Contents({ groups }: { groups: OperationGroup[] }) {
  return (
    <nav
      aria-label="Operations"
      className="pt-8 lg:sticky lg:top-0 lg:h-dvh lg:overflow-y-auto lg:border-r lg:border-line lg:py-12 lg:pr-4"
    >
      <a href="/" className="inline-block">
        <Wordmark />
      </a>
      <div className="max-lg:hidden">
        <GroupLists groups={groups} />
      </div>
      <details className="mt-5 rounded-xl border border-line px-4 py-2.5 lg:hidden">
        <summary className="text-sm font-medium">Contents</summary>
        <GroupLists groups={groups} />
      </details>
    </nav>
  );
}

function GroupLists({ groups }: { groups: OperationGroup[] }) {
  return groups.map(({ name, operations }) => (
    <div key={name} className="mt-6">
      <p className="text-xs font-semibold text-ink-3">{name}</p>
      <ul className="mt-1.5">
        {operations.map(({ operationId, method, summary }) => (
          <li key={operationId}>
            <a
              href={`#${operationId}`}
              className="flex gap-2 rounded-md px-1.5 py-1 text-[0.8125rem] leading-snug text-ink-2 hover:bg-hover hover:text-ink"
            >
              <Method name={method === "DELETE" ? "DEL" : method} className="w-9 shrink-0 pt-px text-[0.625rem]!" />
              {summary}
            </a>
          </li>
        ))}
      </ul>
    </div>
  ));
}
