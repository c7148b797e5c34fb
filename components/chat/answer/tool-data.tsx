import { clsx } from "clsx";
import { Circle, CircleCheck } from "lucide-react";
import { visibleLine, visibleText } from "@/lib/turn/foreign-text";

type Fields = Record<string, unknown>;
type Task = { task_id: number; title: string; description?: string; status: string };

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTask(value: unknown): value is Task {
  return isFields(value) && typeof value.title === "string" && "task_id" in value && "status" in value;
}

/** A few words to tell calls apart: the task's title, or the number of results. */
export function summaryOf(input: unknown, output: unknown): string {
  const { task, deleted, tasks, has_more } = isFields(output) ? output : ({} as Fields);
  if (Array.isArray(tasks)) return `${tasks.length}${has_more ? "+" : ""} ${tasks.length === 1 ? "task" : "tasks"}`;
  const about = [task, deleted, input].find((value) => isFields(value) && typeof value.title === "string");
  return isFields(about) ? visibleLine(String(about.title)) : "";
}

/** A tool's input or output for people: fields by name, lists as lists, tasks as tasks. */
export function ToolData({ value }: { value: unknown }) {
  if (value === null || value === undefined || value === "") return <span className="text-ink-3">none</span>;
  if (isTask(value)) return <TaskLine task={value} />;
  if (typeof value === "boolean") return <span>{value ? "yes" : "no"}</span>;
  if (Array.isArray(value))
    return value.length === 0 ? <span className="text-ink-3">none</span> : <Items items={value} />;
  if (!isFields(value)) return <span className="whitespace-pre-wrap wrap-anywhere">{visibleText(String(value))}</span>;
  const fields = Object.entries(value);
  if (fields.length === 0) return <span className="text-ink-3">none</span>;
  return (
    <dl className="grid gap-1.5">
      {fields.map(([name, field]) => (
        <div key={name} className={clsx("flex gap-x-3 gap-y-1", typeof field === "object" && "flex-col")}>
          <dt className="shrink-0 text-ink-3">{visibleLine(name.replaceAll("_", " "))}</dt>
          <dd className="min-w-0">
            <ToolData value={field} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Items({ items }: { items: unknown[] }) {
  return (
    <ul className="grid gap-1.5">
      {items.map((item, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a result does not change, and its items have no other name.
        <li key={index}>
          <ToolData value={item} />
        </li>
      ))}
    </ul>
  );
}

function TaskLine({ task: { task_id, title, description, status } }: { task: Task }) {
  const completed = status === "completed";
  const Icon = completed ? CircleCheck : Circle;
  return (
    <div className="flex items-start gap-2">
      <Icon
        role="img"
        aria-label={status}
        className={clsx("mt-0.5 size-4 shrink-0", completed ? "text-water" : "text-ink-3")}
      />
      <div className="min-w-0 flex-1 wrap-anywhere">
        <span className={clsx(completed && "text-ink-3 line-through")}>{visibleLine(title)}</span>
        {description && <p className="text-xs whitespace-pre-wrap text-ink-3">{visibleText(description)}</p>}
      </div>
      <span className="font-mono text-xs text-ink-3">{task_id}</span>
    </div>
  );
}
