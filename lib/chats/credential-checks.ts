// Open streams look at their credentials again: one that was ended, revoked or has expired since closes its streams within a
// heartbeat (RELIABILITY I24). One round asks for all distinct credentials of the process at once, however many read with them.
import { listEndedSessions, type SessionKey } from "@/db/sessions";
import { listEndedTokens } from "@/db/users";
import { type ClientStream, clientStreams } from "@/lib/client-streams";
import { env } from "@/lib/env";
import { repeat } from "@/lib/repeat";

/** To be called once, when the server's life begins. A round that the database does not answer is made up for by the next. */
export function beginCredentialChecks(): void {
  repeat(env().HEARTBEAT_MS, closeStreamsOfEnded);
}

/** One round. A stream that is cut off looks unfinished to its client, which connects again and is then told 401. */
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
