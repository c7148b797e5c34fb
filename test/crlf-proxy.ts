// An HTTP proxy that ends every line of an event stream with CRLF: valid but rare.
import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { Transform } from "node:stream";

export type CrlfProxy = { port: number; close(): void };

export async function startCrlfProxy(target: number, onRequest: () => void): Promise<CrlfProxy> {
  const server = createServer((incoming, outgoing) => {
    onRequest();
    const { url: path, method, headers } = incoming;
    // The fault proxy covers broken connections; here they only have to reach the other side.
    const upstream = httpRequest({ host: "localhost", port: target, path, method, headers, agent: false }, (answer) => {
      const { "content-length": _, ...kept } = answer.headers;
      outgoing.writeHead(answer.statusCode as number, kept);
      outgoing.flushHeaders();
      answer.on("error", () => outgoing.destroy());
      answer.pipe(withCrlf(/^text\/event-stream/.test(kept["content-type"] ?? ""))).pipe(outgoing);
    });
    upstream.on("error", () => outgoing.destroy());
    outgoing.on("close", () => upstream.destroy());
    incoming.pipe(upstream);
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function withCrlf(stream: boolean): Transform {
  return new Transform({
    transform(bytes: Buffer, _, done) {
      // As latin1, since a packet may hold half a character.
      done(null, stream ? Buffer.from(bytes.toString("latin1").replaceAll("\n", "\r\n"), "latin1") : bytes);
    },
  });
}
