import { objectsIn, refName, type Schema, typeOf } from "./operations";

/** Deeper levels show their type only. */
const maxDepth = 3;

/** A schema's fields as a list; a reference links to its section of the page. */
export function Fields({ schema, depth = 0 }: { schema: Schema; depth?: number }) {
  if (schema.$ref || (!schema.properties && objectsIn(schema).length === 0))
    return (
      <p className="text-sm text-ink-2">
        <Type schema={schema} /> {schema.description}
      </p>
    );
  const objects = objectsIn(schema);
  return objects.map((object, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: alternatives that never change
    <div key={index} className={index > 0 ? "mt-3" : ""}>
      {objects.length > 1 && (
        <p className="mb-1 text-xs text-ink-3">
          {index === 0 ? "Either" : "or"} {object.description && <Text>{object.description}</Text>}
        </p>
      )}
      <ul className="divide-y divide-line border-y border-line">
        {Object.entries(object.properties ?? {}).map(([name, field]) => (
          <li key={name} className="py-2">
            <SchemaField name={name} schema={field} required={object.required?.includes(name) ?? false} />
            {depth < maxDepth && !field.$ref && objectsIn(field).length > 0 && (
              <div className="mt-2 border-l-2 border-line pl-4">
                <Fields schema={field} depth={depth + 1} />
              </div>
            )}
          </li>
        ))}
      </ul>
    </div>
  ));
}

export function SchemaField({ name, schema, required }: { name: string; schema: Schema; required: boolean }) {
  return (
    <div className="flex flex-wrap items-baseline gap-x-2.5 gap-y-1 text-sm">
      <code className="font-mono text-[0.8125rem] font-medium">{name}</code>
      <Type schema={schema} />
      {required && <span className="text-xs text-water">required</span>}
      {schema.default !== undefined && (
        <span className="text-xs text-ink-3">default {JSON.stringify(schema.default)}</span>
      )}
      {schema.description && (
        <span className="basis-full text-ink-2">
          <Text>{schema.description}</Text>
        </span>
      )}
    </div>
  );
}

function Type({ schema }: { schema: Schema }) {
  const target = refName(schema) ?? (schema.items && refName(schema.items));
  const words = <code className="font-mono text-xs wrap-anywhere text-ink-3">{typeOf(schema)}</code>;
  return target ? (
    <a href={`#schema-${target}`} className="underline decoration-line-strong underline-offset-4">
      {words}
    </a>
  ) : (
    words
  );
}

/** Plain text with `code` spans. */
export function Text({ children }: { children: string }) {
  return children.split("`").map((piece, index) =>
    index % 2 === 0 ? (
      piece
    ) : (
      // biome-ignore lint/suspicious/noArrayIndexKey: pieces of a text that never changes
      <code key={index} className="rounded bg-hover px-1 py-px font-mono text-[0.86em]">
        {piece}
      </code>
    ),
  );
}
