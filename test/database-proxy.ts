// A fault proxy between a server and Postgres that understands the protocol: it can drop the reply
// to one statement, which was then executed without its sender knowing.
import { type FaultProxy, startFaultProxy } from "./fault-proxy.ts";

/** First byte of the reply to an executed statement; earlier messages belong to its preparation. */
const bindComplete = "2".charCodeAt(0);
/** First byte of a notification. */
const notification = "A".charCodeAt(0);

export type DatabaseProxy = FaultProxy & {
  /** DATABASE_URL through the proxy. */
  databaseUrl: string;
  /** Drops the reply to the next statement with this text as a value; cuts the connection. */
  cutReplyTo(text: string): void;
  /** All requested replies were cut. */
  readonly cutAll: boolean;
  /** Drops the next group commits that arrive on a new connection. */
  cutRequests(count: number): void;
  /** Mutes connections of group commits; requests on them still arrive. */
  muteReplies(): void;
  /** Likewise for listening connections. */
  muteListeners(): void;
  /** LISTEN succeeds but no notification arrives: as behind a pooler in transaction mode. */
  loseNotifications(on: boolean): void;
};

type Link = { commits: boolean; listens: boolean; mute: boolean; cut: boolean };

export async function startDatabaseProxy(databaseUrl: string): Promise<DatabaseProxy> {
  const url = new URL(databaseUrl);
  const links = new Set<Link>();
  const wanted = new Set<string>();
  let cutting = 0;
  let requestCuts = 0;
  let losing = false;

  const proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port) }, () => {
    const link: Link = { commits: false, listens: false, mute: false, cut: false };
    links.add(link);
    return {
      fromClient(bytes) {
        for (const text of wanted) {
          if (!bytes.includes(text)) continue;
          wanted.delete(text);
          cutting += 1;
          link.cut = true;
        }
        // A statement's text is sent once per connection.
        const begins = bytes.includes("insert into turn_chunks");
        link.commits ||= begins;
        link.listens ||= bytes.includes('listen "');
        if (!begins || requestCuts === 0) return "pass";
        requestCuts -= 1;
        return "cut";
      },
      fromServer(bytes) {
        if (losing && bytes[0] === notification) return "drop";
        if (!link.cut || bytes[0] !== bindComplete) return link.mute ? "drop" : "pass";
        link.cut = false;
        cutting -= 1;
        return "cut";
      },
    };
  });

  url.hostname = "localhost";
  url.port = String(proxy.port);
  return {
    ...proxy,
    databaseUrl: url.href,
    cutReplyTo: (text) => void wanted.add(text),
    get cutAll() {
      return wanted.size === 0 && cutting === 0;
    },
    cutRequests(count) {
      requestCuts += count;
    },
    muteReplies() {
      for (const link of links) link.mute ||= link.commits;
    },
    muteListeners() {
      for (const link of links) link.mute ||= link.listens;
    },
    loseNotifications(on) {
      losing = on;
    },
  };
}
