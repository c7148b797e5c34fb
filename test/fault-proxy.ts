// A TCP proxy that breaks things on purpose, to stand between a client and a server, a server and its provider, or a
// server and its database. It knows nothing of what it carries.
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Transform } from "node:stream";

export type FaultProxy = {
  port: number;
  /** http://localhost:<port> */
  url: string;
  /** Cuts every connection, both sides, as a lost network does; new ones are refused until `up`. */
  down(): void;
  up(): void;
  /** The next so many connections, or all from now on, are cut after that many bytes from the server; null ends this. */
  cutAfter(bytes: number | null, connections?: number): void;
  /** Holds back what comes from the server, or what goes either way, while the connections stay open. */
  stall(on: boolean | "both"): void;
  /** Forwards what comes from the server in writes of at most that many bytes, so far apart; null ends this. */
  piece(bytes: number | null, gapMs?: number): void;
  close(): Promise<void>;
};

/** Of one connection: is shown what is about to pass and says whether it does, vanishes, or cuts the connection. */
export type Tap = {
  fromClient(bytes: Buffer): Fate;
  fromServer(bytes: Buffer): Fate;
};
export type Fate = "pass" | "drop" | "cut";

/**
 * `tap` is called for each connection, by those who know what it carries. A target that is a function is asked for each
 * connection, as a balancer decides.
 */
export async function startFaultProxy(
  target: number | { host: string; port: number } | (() => number),
  tap?: () => Tap,
): Promise<FaultProxy> {
  const sockets = new Set<Socket>();
  let refusing = false;
  let limit: number | null = null;
  let toCut = 0;
  let piece: number | null = null;
  let gapMs = 0;
  const open = Promise.resolve();
  /** Resolved while nothing is held back. */
  const moving = { fromClient: open, fromServer: open };
  let release = () => {};

  /** Bytes one way, past the tap. */
  function pass(way: keyof Tap, tapped: Tap | undefined, cut: () => void): Transform {
    return new Transform({
      async transform(bytes: Buffer, _, done) {
        await moving[way];
        const fate = tapped?.[way](bytes) ?? "pass";
        if (fate === "cut") cut();
        else done(null, fate === "pass" ? bytes : undefined);
      },
    });
  }

  /** What a connection does to the bytes from the server. */
  function fault(): Transform {
    const allowance = toCut > 0 ? limit : null;
    toCut -= 1;
    let passed = 0;
    return new Transform({
      async transform(bytes: Buffer, _, done) {
        const allowed = allowance === null ? bytes : bytes.subarray(0, allowance - passed);
        const size = piece ?? allowed.length;
        for (let at = 0; at < allowed.length; at += size) {
          await moving.fromServer;
          this.push(allowed.subarray(at, at + size));
          if (piece) await new Promise((resolve) => (gapMs ? setTimeout(resolve, gapMs) : setImmediate(resolve)));
        }
        passed += allowed.length;
        if (passed === allowance) this.push(null);
        done();
      },
    });
  }

  const server = createServer((client) => {
    if (refusing) return client.resetAndDestroy();
    const local = typeof target === "function" ? target() : target;
    const upstream = connect(typeof local === "number" ? { host: "localhost", port: local } : local);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      // A reset is what this proxy is for; the close that follows ends the other side.
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    }
    client.on("close", () => upstream.destroy());
    upstream.on("close", (failed) => failed && client.resetAndDestroy());
    const tapped = tap?.();
    const cut = () => client.resetAndDestroy();
    client.pipe(pass("fromClient", tapped, cut)).pipe(upstream);
    upstream
      .pipe(pass("fromServer", tapped, cut))
      .pipe(fault())
      .pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const own = (server.address() as AddressInfo).port;

  return {
    port: own,
    url: `http://localhost:${own}`,
    down() {
      refusing = true;
      for (const socket of sockets) socket.resetAndDestroy();
    },
    up() {
      refusing = false;
    },
    cutAfter(bytes, connections = Number.POSITIVE_INFINITY) {
      limit = bytes;
      toCut = connections;
    },
    stall(on) {
      release();
      moving.fromClient = moving.fromServer = open;
      if (!on) return;
      moving.fromServer = new Promise((resolve) => (release = resolve));
      if (on === "both") moving.fromClient = moving.fromServer;
    },
    piece(bytes, gap = 0) {
      piece = bytes;
      gapMs = gap;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
