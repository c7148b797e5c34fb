// A TCP proxy that breaks things on purpose, to stand between a client and a server, a server and its provider, or a
// server and its database. It knows nothing of what it carries.
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export type FaultProxy = {
  port: number;
  /** http://localhost:<port> */
  url: string;
  /** Connections that are open now. */
  open(): number;
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
  const upstreams = new Set<Socket>();
  let refusing = false;
  let stalled = false;
  let cutAfter: number | null = null;
  let piece: number | null = null;
  let gapMs = 0;

  const server = createServer((client) => {
    if (refusing) return client.resetAndDestroy();
    const upstream = connect({ host, port });
    const limit = cutAfter;
    let passed = 0;
    upstreams.add(upstream);
    if (stalled) upstream.pause();
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      // A reset is what this proxy is for; the close that follows ends the other side.
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        upstreams.delete(socket);
        other.destroy();
      });
    }
    client.pipe(upstream);
    upstream.on("end", () => client.end());
    const forward = async (bytes: Buffer) => {
      const allowed = limit === null ? bytes : bytes.subarray(0, limit - passed);
      passed += bytes.length;
      const size = piece ?? allowed.length;
      for (let at = 0; at < allowed.length && !client.destroyed; at += size) {
        if (!client.write(allowed.subarray(at, at + size))) {
          await new Promise<void>((resolve) => client.once("drain", resolve).once("close", resolve));
        }
        if (piece) await new Promise((resolve) => (gapMs ? setTimeout(resolve, gapMs) : setImmediate(resolve)));
      }
      // Behind what was allowed, so that the cut is at exactly that byte.
      if (limit !== null && passed >= limit) client.end(() => client.destroy());
    };
    upstream.on("data", (bytes: Buffer) => {
      upstream.pause();
      void forward(bytes).then(() => stalled || upstream.resume());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const own = (server.address() as AddressInfo).port;

  return {
    port: own,
    url: `http://localhost:${own}`,
    open: () => upstreams.size,
    down() {
      refusing = true;
      for (const socket of sockets) socket.resetAndDestroy();
    },
    up() {
      refusing = false;
    },
    cutAfter(bytes) {
      cutAfter = bytes;
    },
    stall(on) {
      stalled = on;
      for (const upstream of upstreams) on ? upstream.pause() : upstream.resume();
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
