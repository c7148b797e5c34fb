// A TCP proxy between one server and Postgres that counts statements exactly and immediately,
// unlike the database's own statistics. Injects no faults.
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export type QueryCounter = {
  /** The database URL through the proxy. */
  url: string;
  /** Statements so far, over all connections. */
  count(): number;
  close(): Promise<void>;
};

const execute = "E".charCodeAt(0);
const simpleQuery = "Q".charCodeAt(0);

export async function startQueryCounter(databaseUrl: string): Promise<QueryCounter> {
  const url = new URL(databaseUrl);
  const target = { host: url.hostname, port: Number(url.port) };
  const sockets = new Set<Socket>();
  let total = 0;
  const server = createServer((client) => {
    const database = connect(target);
    client.pipe(database).pipe(client);
    const see = statements(() => {
      total += 1;
    });
    client.on("data", see);
    for (const socket of [client, database]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      // The connection broke and has ended; the other half follows.
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        database.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url.hostname = "127.0.0.1";
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    count: () => total,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** Parses the frontend protocol: an untyped first message, then a type byte and a length each. */
function statements(found: () => void): (bytes: Buffer) => void {
  let rest = Buffer.alloc(0);
  let typeBytes = 0;
  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    while (rest.length >= typeBytes + 4) {
      const end = typeBytes + rest.readUInt32BE(typeBytes);
      if (rest.length < end) return;
      if (typeBytes === 1 && (rest[0] === execute || rest[0] === simpleQuery)) found();
      rest = rest.subarray(end);
      typeBytes = 1;
    }
  };
}
