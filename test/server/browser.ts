// Keeps cookies like a browser, unlike `fetch`, so that a test can sign in as a page does.
import type { TestServer } from "@/test/server";

export class Browser {
  readonly cookies = new Map<string, string>();
  readonly #server: TestServer;

  constructor(server: TestServer) {
    this.#server = server;
  }

  get cookie(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  get session(): string | undefined {
    return this.cookies.get("authjs.session-token");
  }

  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const answer = await fetch(this.#server.url + path, {
      redirect: "manual",
      ...init,
      headers: { cookie: this.cookie, ...(init.headers as Record<string, string>) },
    });
    for (const line of answer.headers.getSetCookie()) {
      const [name = "", value = ""] = (line.split(";")[0] ?? "").split(/=(.*)/s);
      if (value) this.cookies.set(name, value);
      else this.cookies.delete(name);
    }
    return answer;
  }

  /** Like next-auth's own page. */
  async signIn(provider: "guest" | "password", credentials: Record<string, string> = {}): Promise<Response> {
    const { csrfToken } = (await (await this.fetch("/api/auth/csrf")).json()) as { csrfToken: string };
    return this.fetch(`/api/auth/callback/${provider}`, {
      method: "POST",
      headers: { origin: this.#server.url },
      body: new URLSearchParams({ ...credentials, csrfToken }),
    });
  }
}
