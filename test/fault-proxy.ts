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
  /** Connections made from now on are cut after that many bytes from the server; null ends this. */
  cutAfter(bytes: number | null): void;
  /** Holds back what comes from the server while the connections stay open. */
  stall(on: boolean): void;
  /** Forwards what comes from the server in writes of at most that many bytes, so far apart; null ends this. */
  piece(bytes: number | null, gapMs?: number): void;
  close(): Promise<void>;
};

export async function startFaultProxy(target: number | { host: string; port: number }): Promise<FaultProxy> {
  const { host, port } = typeof target === "number" ? { host: "localhost", port: target } : target;
  const sockets = new Set<Socket>();
  let refusing = false;
  let limit: number | null = null;
  let piece: number | null = null;
  let gapMs = 0;
  let moving = Promise.resolve();
  let release = () => {};

  /** What a connection does to the bytes from the server. */
  function fault(): Transform {
    const allowance = limit;
    let passed = 0;
    return new Transform({
      async transform(bytes: Buffer, _, done) {
        const allowed = allowance === null ? bytes : bytes.subarray(0, allowance - passed);
        const size = piece ?? allowed.length;
        for (let at = 0; at < allowed.length; at += size) {
          await moving;
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
    const upstream = connect({ host, port });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      // A reset is what this proxy is for; the close that follows ends the other side.
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    }
    client.on("close", () => upstream.destroy());
    upstream.on("close", (failed) => failed && client.resetAndDestroy());
    client.pipe(upstream);
    upstream.pipe(fault()).pipe(client);
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
    cutAfter(bytes) {
      limit = bytes;
    },
    stall(on) {
      release();
      if (on) moving = new Promise((resolve) => (release = resolve));
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
