// Main entry of `rivulet-client`: answers in any wire format, the JSON endpoints and a chat's feed.
// Not here: the AI SDK's transport (transport.ts) and the React hook (use-chat-stream.ts), which
// load more packages and are entries of their own.
export type { ChatMessage, TurnChunk, TurnError, TurnState, Usage } from "../../../lib/turn/chunks.ts";
export type { Answer } from "./answer.ts";
export {
  type BrowserSession,
  type Chat,
  type ChatPage,
  createApi,
  type Document,
  type Invitation,
  type MessagePage,
  type Token,
  type TokenPage,
} from "./api.ts";
export type { TextBuffer } from "./buffer-text.ts";
export { findBuffering } from "./buffering.ts";
export { type ChatClient, type ChatClientOptions, createChatClient, type SendOptions } from "./chat-client.ts";
export type { AnswerMetadata, ChatEnd, ChatEvent, ChatSource } from "./chat-events.ts";
export { type ChatFeedOptions, followChat, type TurnStatus } from "./chat-feed.ts";
export {
  type ChatState,
  type ChatStore,
  type ChatStoreMessage,
  createChatStore,
  type ToolCall,
} from "./chat-store.ts";
export type { Question } from "./client-dialect.ts";
export type { Connection, ConnectionState } from "./connection.ts";
export type { DialectName } from "./dialects.ts";
export { type Http, RequestError } from "./request.ts";
