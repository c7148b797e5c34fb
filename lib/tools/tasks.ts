// Tools for the user's task list: add, list, complete, update, delete (docs/protocol.md §8). Titles
// and descriptions are data: never interpreted, never truncated.
import { tool, zodSchema } from "ai";
import { z } from "zod";
import { deleteTask, insertTask, listTasks, type TaskRow, updateTask } from "@/db/tasks";
import { destructive, ToolFailure, type ToolFamily } from "./tool-family";

/** In characters: one line of a list, and an argument a model can repeat without error. */
const maxTitleLength = 200;
const maxDescriptionLength = 2_000;
/** More than anyone works through; bounds what one user can store. */
const maxTasks = 1_000;
/** With full titles and short descriptions about 10,000 tokens: fits beside a conversation. */
const pageSize = 100;

/** Postgres cannot store NUL. */
const storable = (text: string) => text.replaceAll("\0", "");

const title = z
  .string()
  .overwrite((text) => storable(text).replace(/\s+/g, " ").trim())
  .min(1, "must not be empty")
  .max(maxTitleLength, `must be at most ${maxTitleLength} characters`);
const description = z
  .string()
  .overwrite((text) => storable(text).trim())
  .max(maxDescriptionLength, `must be at most ${maxDescriptionLength} characters`);
const status = z.enum(["pending", "completed"]);
/** The column's maximum. */
const taskId = z.int().positive().max(2_147_483_647).describe("The task_id that list_tasks or add_task returned");

const task = z.object({
  task_id: z.int(),
  title: z.string(),
  description: z.string(),
  status,
  /** ISO 8601, UTC. */
  created_at: z.string(),
  completed_at: z.string().nullable(),
});
const oneTask = z.object({ task });
const manyTasks = z.object({ tasks: z.array(task), has_more: z.boolean() });
const deletedTask = z.object({ deleted: task });

/**
 * Built once: converting them to JSON Schema costs more than everything else a turn does with its
 * tools.
 */
const inputs = {
  add: zodSchema(z.object({ title, description: description.default("") })),
  list: zodSchema(
    z.object({
      status: z.enum(["all", "pending", "completed"]).default("all"),
      after_task_id: taskId.optional().describe("Only tasks after this one"),
    }),
  ),
  one: zodSchema(z.object({ task_id: taskId })),
  change: zodSchema(
    z.object({
      task_id: taskId,
      title: title.optional(),
      description: description.optional(),
      status: status.optional(),
    }),
  ),
};

export const taskTools: ToolFamily = (userId) => {
  return {
    add_task: tool({
      description: "Adds a task to the user's task list.",
      inputSchema: inputs.add,
      outputSchema: oneTask,
      execute: async (added) => {
        const row = await insertTask(userId, added, maxTasks);
        if (!row) throw new ToolFailure(`The list is full: it holds ${maxTasks} tasks. Delete some to add others.`);
        return { task: show(row) };
      },
    }),

    list_tasks: tool({
      description: `Lists the user's tasks, oldest first, at most ${pageSize} at a time. With has_more, the next ones follow after the last task_id.`,
      inputSchema: inputs.list,
      outputSchema: manyTasks,
      execute: async ({ status, after_task_id: afterNumber }) => {
        const completed = status === "all" ? undefined : status === "completed";
        const rows = await listTasks(userId, { completed, afterNumber, limit: pageSize + 1 });
        return { tasks: rows.slice(0, pageSize).map(show), has_more: rows.length > pageSize };
      },
    }),

    complete_task: tool({
      description: "Marks a task of the user as completed.",
      inputSchema: inputs.one,
      outputSchema: oneTask,
      execute: async ({ task_id }) => ({ task: show(found(await updateTask(userId, task_id, { completed: true }))) }),
    }),

    update_task: tool({
      description:
        "Changes the title, the description or the status of a task of the user. What is left out stays as it is.",
      inputSchema: inputs.change,
      outputSchema: oneTask,
      execute: async ({ task_id, status, ...change }) => {
        const completed = status && status === "completed";
        if (completed === undefined && change.title === undefined && change.description === undefined)
          throw new ToolFailure("Nothing to change: give a title, a description or a status.");
        return { task: show(found(await updateTask(userId, task_id, { ...change, completed }))) };
      },
    }),

    delete_task: destructive(
      tool({
        description: "Deletes a task of the user for good.",
        inputSchema: inputs.one,
        outputSchema: deletedTask,
        execute: async ({ task_id }) => ({ deleted: show(found(await deleteTask(userId, task_id))) }),
      }),
      async (input) => {
        const { task_id } = input as { task_id: number };
        const [task] = await listTasks(userId, { afterNumber: task_id - 1, limit: 1 });
        return task?.number === task_id ? `Deletes the task “${task.title}” for good.` : null;
      },
    ),
  };
};

function found(row: TaskRow | null): TaskRow {
  if (!row) throw new ToolFailure("There is no task with this task_id. list_tasks tells which there are.");
  return row;
}

function show({ number, title, description, createdAt, completedAt }: TaskRow): z.output<typeof task> {
  return {
    task_id: number,
    title,
    description,
    status: completedAt ? "completed" : "pending",
    created_at: createdAt.toISOString(),
    completed_at: completedAt?.toISOString() ?? null,
  };
}
