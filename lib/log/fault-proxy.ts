// For tests: a TCP proxy in front of Postgres that fails the ways networks and databases do.
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** What the answer to an executed statement begins with; what comes before tells of its preparation. */
const bindComplete = "2".charCodeAt(0);

type Link = { client: Socket; database: Socket; commits: boolean; mute: boolean; cutReply: boolean };

export class FaultProxy {
  /** `pass`; `refuse`: every connection is cut, new ones at once; `stall`: nothing moves until it passes again. */
  #mode: "pass" | "refuse" | "stall" = "pass";
  readonly #links = new Set<Link>();
  readonly #server: Server;
  readonly #target: URL;
  readonly #replyCuts = new Set<string>();
  #requestCuts = 0;

  private constructor(target: URL) {
    this.#target = target;
    this.#server = createServer((client) => this.#link(client));
  }

  static async start(databaseUrl: string): Promise<{ proxy: FaultProxy; url: string }> {
    const url = new URL(databaseUrl);
    const proxy = new FaultProxy(new URL(databaseUrl));
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    url.port = String((proxy.#server.address() as AddressInfo).port);
    return { proxy, url: url.href };
  }

  set mode(mode: "pass" | "refuse" | "stall") {
    this.#mode = mode;
    for (const link of this.#links) this.#apply(link);
  }

  /**
   * The answer to the next statement with this text among its values never arrives, its connection is cut: it was
   * carried out, but nobody here knows.
   */
  cutReplyTo(text: string): void {
    this.#replyCuts.add(text);
  }

  /** All such answers were cut. */
  get cutAll(): boolean {
    return this.#replyCuts.size === 0;
  }

  /** The next group commits that come on a new connection never arrive. */
  cutRequests(count: number): void {
    this.#requestCuts += count;
  }

  /** Connections of group commits say nothing any more; what is sent on them still arrives. */
  muteReplies(): void {
    for (const link of this.#links) link.mute ||= link.commits;
  }

  async close(): Promise<void> {
    for (const link of this.#links) this.#cut(link);
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #link(client: Socket): void {
    const database = connect(Number(this.#target.port), this.#target.hostname);
    const link: Link = { client, database, commits: false, mute: false, cutReply: false };
    this.#links.add(link);
    client.on("data", (data) => {
      for (const text of this.#replyCuts) {
        if (!data.includes(text)) continue;
        this.#replyCuts.delete(text);
        link.cutReply = true;
      }
      // The words of a statement are sent once a connection.
      const begins = data.includes("insert into turn_chunks");
      link.commits ||= begins;
      if (begins && this.#requestCuts > 0) {
        this.#requestCuts -= 1;
        this.#cut(link);
      } else database.write(data);
    });
    database.on("data", (data) => {
      if (link.cutReply && data[0] === bindComplete) this.#cut(link);
      else if (!link.mute) client.write(data);
    });
    for (const socket of [client, database]) {
      socket.on("close", () => this.#cut(link));
      // A cut connection reports that; `close` follows.
      socket.on("error", () => {});
    }
    this.#apply(link);
  }

  #apply(link: Link): void {
    if (this.#mode === "refuse") this.#cut(link);
    for (const socket of [link.client, link.database]) this.#mode === "stall" ? socket.pause() : socket.resume();
  }

  #cut(link: Link): void {
    this.#links.delete(link);
    link.client.destroy();
    link.database.destroy();
  }
}
