// The minimum cost of any server between a provider and a reader: node:http to node:http, bytes
// passed through.
import { Agent, createServer, request } from "node:http";
import type { AddressInfo } from "node:net";

const providerPort = process.argv[2];
const agent = new Agent({ keepAlive: true });

const server = createServer((incoming, response) => {
  const { method, url: path, headers } = incoming;
  const upstream = request({ agent, host: "127.0.0.1", port: providerPort, method, path, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  upstream.on("error", () => response.destroy());
  response.on("close", () => upstream.destroy());
  incoming.pipe(upstream);
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
