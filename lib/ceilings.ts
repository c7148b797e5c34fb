// Messages for users who have reached a storage ceiling (README.md, configuration). The database
// counts, in the statement that adds (decision 0023).
import { env } from "./env";
import { AppError } from "./errors";

/** SQLSTATE raised by `require_room`; its constraint names the ceiling. */
const noRoom = "RV001";

const sentences = {
  chats: () =>
    `You have ${env().MAX_CHATS} chats, the most that this server stores for a user. Nothing was stored; delete a chat you no longer need, then try again.`,
  tokens: () =>
    `You have ${env().MAX_ACCESS_TOKENS} tokens, the most that this server stores for a user. None was created; revoke one you no longer use, then try again.`,
  documents: () =>
    `You have ${env().MAX_DOCUMENTS} documents, the most that this server stores for a user. This one was not stored; delete one you no longer need, then try again.`,
  bytes: () =>
    `Your chats and documents would take more than ${env().MAX_STORED_BYTES} bytes, the most that this server stores for a user. Nothing was stored; delete chats or documents you no longer need, then try again.`,
};

/** The AppError for a `require_room` error, else null. Looks through wrapping errors. */
export function storageFull(error: unknown): AppError | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code, constraint_name: name } = cause as Error & { code?: unknown; constraint_name?: string };
    const sentence = code === noRoom && sentences[name as keyof typeof sentences];
    if (sentence) return new AppError("storage_full", sentence(), { cause: error });
  }
  return null;
}
