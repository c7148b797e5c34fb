// A fault proxy between a server and Postgres that knows what it carries: it can lose the answer to one statement or to
// one COMMIT, which then was carried out although nobody was told.
import { type FaultProxy, startFaultProxy } from "./fault-proxy.ts";

/** What the answer to an executed statement begins with; what comes before tells of its preparation. */
const bindComplete = "2".charCodeAt(0);
/** What a notification begins with. */
const notification = "A".charCodeAt(0);
/** The answer to a COMMIT, as CommandComplete names it. */
const committed = "COMMIT\0";

export type DatabaseProxy = FaultProxy & {
  /** DATABASE_URL through the proxy. */
  databaseUrl: string;
  /** The answer to the next statement with this text among its values never arrives, its connection is cut. */
  cutReplyTo(text: string): void;
  /** The same for the COMMIT of the next transaction with this text among the values of one of its statements. */
  cutCommitOf(text: string): void;
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

type Link = { commits: boolean; listens: boolean; mute: boolean; cut: "reply" | "commit" | null };

export async function startDatabaseProxy(databaseUrl: string): Promise<DatabaseProxy> {
  const url = new URL(databaseUrl);
  const links = new Set<Link>();
  const wanted = new Map<string, "reply" | "commit">();
  let cutting = 0;
  let requestCuts = 0;
  let losing = false;

  const proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port) }, () => {
    const link: Link = { commits: false, listens: false, mute: false, cut: null };
    links.add(link);
    return {
      fromClient(bytes) {
        for (const [text, what] of wanted) {
          if (!bytes.includes(text)) continue;
          wanted.delete(text);
          cutting += 1;
          link.cut = what;
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
        const cut = link.cut === "reply" ? bytes[0] === bindComplete : link.cut && bytes.includes(committed);
        if (!cut) return link.mute ? "drop" : "pass";
        link.cut = null;
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
    cutReplyTo: (text) => void wanted.set(text, "reply"),
    cutCommitOf: (text) => void wanted.set(text, "commit"),
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
