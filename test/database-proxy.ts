// A fault proxy between a server and Postgres that knows what it carries: it can lose the answer to one statement,
// which then was carried out although nobody was told.
import { type FaultProxy, startFaultProxy } from "./fault-proxy.ts";

/** What the answer to an executed statement begins with; what comes before tells of its preparation. */
const bindComplete = "2".charCodeAt(0);
/** What a notification begins with. */
const notification = "A".charCodeAt(0);

export type DatabaseProxy = FaultProxy & {
  /** DATABASE_URL through the proxy. */
  databaseUrl: string;
  /** The answer to the next statement with this text among its values never arrives, its connection is cut. */
  cutReplyTo(text: string): void;
  /** All such answers were cut. */
  readonly cutAll: boolean;
  /** The next group commits that come on a new connection never arrive. */
  cutRequests(count: number): void;
  /** Connections of group commits say nothing any more; what is sent on them still arrives. */
  muteReplies(): void;
  /** The same for connections that listen. */
  muteListeners(): void;
  /** LISTEN is answered, but no notification arrives: as behind a pooler in transaction mode. */
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
        // The words of a statement are sent once a connection.
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
