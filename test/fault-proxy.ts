// A TCP proxy that injects faults between a client and a server, a server and its provider, or a
// server and its database. It knows nothing of the protocol.
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Transform } from "node:stream";

export type FaultProxy = {
  port: number;
  /** http://localhost:<port> */
  url: string;
  /** Cuts both sides of every connection, like a lost network; refuses new ones until `up`. */
  down(): void;
  up(): void;
  /** Cuts the next `connections`, or all, after this many bytes from the server; null stops it. */
  cutAfter(bytes: number | null, connections?: number): void;
  /** Holds back the server's bytes, or both directions, while connections stay open. */
  stall(on: boolean | "both"): void;
  /** Forwards the server's bytes in writes of at most `bytes`, `gapMs` apart; null stops it. */
  piece(bytes: number | null, gapMs?: number): void;
  close(): Promise<void>;
};

/** Per connection: decides whether bytes pass, vanish, or cut the connection. */
export type Tap = {
  fromClient(bytes: Buffer): Fate;
  fromServer(bytes: Buffer): Fate;
};
export type Fate = "pass" | "drop" | "cut";

/**
 * `tap` is called per connection, by users that know the protocol. A function as target is called
 * per connection, like a load balancer.
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

  /** Bytes in one direction, through the tap. */
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

  /** The faults applied to the server's bytes of one connection. */
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
      // Resets are this proxy's purpose; the close that follows ends the other side.
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
