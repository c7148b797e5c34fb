// The settings page's commands, one per format that needs no preparation.

const question = "What is a rivulet?";

const requests = {
  openai: () => ({
    path: "/v1/chat/completions",
    body: { stream: true, messages: [{ role: "user", content: question }] },
  }),
  content: () => ({ path: "/api/v1/chat", body: { message: question, stream: true } }),
  snapshot: () => ({ path: "/api/v1/chat/stream", body: { text: question } }),
  agent: (userId: string) => ({ path: `/api/${userId}/chat/stream`, body: { message: question } }),
  rag: () => ({ path: "/chat/1/stream", body: { question } }),
};

export type CurlFormat = keyof typeof requests;
export const formats = Object.keys(requests) as CurlFormat[];

/** For a POSIX shell. Without a token it uses `RIVULET_TOKEN`. */
export function curlFor(
  format: CurlFormat,
  { address, userId, token }: { address: string; userId: string; token: string | undefined },
): string {
  const { path, body } = requests[format](userId);
  return [
    ...(token ? [] : ["RIVULET_TOKEN=…   # a token of yours"]),
    `curl -N ${address}${path} \\`,
    `  -H "Authorization: Bearer ${token ?? "$RIVULET_TOKEN"}" \\`,
    `  -H "Content-Type: application/json" \\`,
    `  -d '${JSON.stringify(body)}'`,
  ].join("\n");
}
