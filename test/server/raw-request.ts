// Requests that `fetch` refuses to make: another Host, another method, or a custom request line.
import { once } from "node:events";
import { type IncomingHttpHeaders, request } from "node:http";
import { connect } from "node:net";

export type RawAnswer = { status: number; headers: IncomingHttpHeaders; text: string };

/** Connects to the loopback address, so that no host name is ever resolved. */
export async function rawRequest(
  port: number,
  path: string,
  { method = "GET", headers = {}, body }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<RawAnswer> {
  const asked = request({ host: "localhost", port, path, method, headers, agent: false });
  asked.end(body);
  const [answer] = await once(asked, "response");
  let text = "";
  for await (const piece of answer.setEncoding("utf8")) text += piece;
  return { status: answer.statusCode, headers: answer.headers, text };
}

/** The server's response to these bytes until it hangs up. */
export async function rawBytes(port: number, bytes: string): Promise<string> {
  const socket = connect(port, "localhost");
  socket.end(bytes);
  let text = "";
  for await (const piece of socket.setEncoding("latin1")) text += piece;
  return text;
}
