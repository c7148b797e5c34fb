// Next calls this once, before the first request: the server's own life begins in server-life.ts.
export async function register(): Promise<void> {
  if (process.env.NEXT_RUNTIME === "nodejs") {
    const { beginServerLife } = await import("./server-life");
    await beginServerLife();
  }
}
