// Rechecks the credentials of open streams: an ended, revoked or expired credential closes its
// streams within one heartbeat (RELIABILITY I24). Each round checks all distinct credentials of the
// process at once.
import { listEndedSessions, type SessionKey } from "@/db/sessions";
import { listEndedTokens } from "@/db/users";
import { type ClientStream, clientStreams } from "@/lib/client-streams";
import { env } from "@/lib/env";
import { repeat } from "@/lib/repeat";

/** Call once at startup. A round the database does not answer is covered by the next. */
export function startCredentialChecks(): void {
  repeat(env().HEARTBEAT_MS, closeStreamsOfEnded);
}

/** One round. To the client a closed stream looks unfinished, so it reconnects and gets a 401. */
export async function closeStreamsOfEnded(): Promise<void> {
  const sessions = new Map<string, SessionKey>();
  const tokens = new Set<string>();
  const readers = new Map<string, ClientStream[]>();
  for (const stream of clientStreams()) {
    const { credential } = stream;
    if (!credential) continue;
    if (credential.kind === "session") sessions.set(credential.id, credential);
    else tokens.add(credential.id);
    const streams = readers.get(credential.id);
    if (streams) streams.push(stream);
    else readers.set(credential.id, [stream]);
  }
  const [endedSessions, endedTokens] = await Promise.all([
    sessions.size > 0 ? listEndedSessions([...sessions.values()]) : [],
    tokens.size > 0 ? listEndedTokens([...tokens]) : [],
  ]);
  for (const id of [...endedSessions, ...endedTokens]) for (const stream of readers.get(id) ?? []) stream.break();
}
