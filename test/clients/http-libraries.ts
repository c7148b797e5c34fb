// HTTP libraries and how each of them reads a stream.
import { load } from "./install";

export type Asked = { url: string; token: string; body: object };

type Library = {
  name: string;
  /** The body as text, as it arrives. Throws for a status that is no 200 and for a body that breaks off. */
  read(asked: Asked): AsyncIterable<string>;
  /** The status that its own class of error tells; undefined for any other error. */
  statusOf(error: unknown): number | undefined;
};

const headersOf = ({ token }: Asked) => ({
  authorization: `Bearer ${token}`,
  "content-type": "application/json",
  accept: "text/event-stream",
});

async function* decode(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const piece of bytes) yield decoder.decode(piece, { stream: true });
}

const { default: ky, HTTPError: KyError } = await load("ky");
const { default: got, HTTPError: GotError } = await load("got");
const undici = await load("undici");
const { default: axios } = await load("axios");

class Refusal extends Error {
  readonly status: number;
  constructor(status: number) {
    super(`status ${status}`);
    this.status = status;
  }
}

export const httpLibraries: Library[] = [
  {
    name: "fetch",
    async *read(asked) {
      const { url, body } = asked;
      const response = await fetch(url, { method: "POST", headers: headersOf(asked), body: JSON.stringify(body) });
      if (!response.ok) throw new Refusal(response.status);
      yield* decode(response.body as AsyncIterable<Uint8Array>);
    },
    statusOf: (error) => (error instanceof Refusal ? error.status : undefined),
  },
  {
    name: "ky",
    async *read(asked) {
      const response = await ky.post(asked.url, {
        headers: headersOf(asked),
        json: asked.body,
        retry: 0,
        timeout: false,
      });
      yield* decode(response.body);
    },
    statusOf: (error) => (error instanceof KyError ? (error as { response: Response }).response.status : undefined),
  },
  {
    name: "got",
    async *read(asked) {
      const stream = got.stream.post(asked.url, { headers: headersOf(asked), json: asked.body, retry: { limit: 0 } });
      yield* decode(stream);
    },
    statusOf: (error) =>
      error instanceof GotError ? (error as { response: { statusCode: number } }).response.statusCode : undefined,
  },
  {
    name: "undici",
    async *read(asked) {
      const options = { method: "POST", headers: headersOf(asked), body: JSON.stringify(asked.body) };
      const { statusCode, body } = await undici.request(asked.url, {
        ...options,
        dispatcher: new undici.Agent().compose(undici.interceptors.responseError()),
      });
      if (statusCode !== 200) throw new Error(`status ${statusCode}`);
      yield* decode(body);
    },
    statusOf: (error) =>
      error instanceof undici.errors.ResponseError ? (error as { statusCode: number }).statusCode : undefined,
  },
  {
    name: "axios",
    async *read(asked) {
      const { data } = await axios.post(asked.url, asked.body, { headers: headersOf(asked), responseType: "stream" });
      yield* decode(data);
    },
    statusOf: (error) =>
      axios.isAxiosError(error) ? (error as { response?: { status: number } }).response?.status : undefined,
  },
];
