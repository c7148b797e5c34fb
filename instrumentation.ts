// Next calls this once, before the first request: the server's own life begins in server-life.ts.
export async function register(): Promise<void> {
  if (process.env.NEXT_RUNTIME !== "nodejs") return;
  try {
    // Before anything else is loaded: the providers' SDKs read process.env when they are.
    const { claimEnvironment } = await import("./lib/env");
    claimEnvironment();
    const { installRequestGate } = await import("./lib/request-gate");
    installRequestGate();
    const { beginServerLife } = await import("./server-life");
    await beginServerLife();
  } catch (error) {
    // Next would log it and go on to answer every request with 500.
    const { terminalSafe } = await import("./lib/logger");
    console.error(terminalSafe(`Rivulet cannot start: ${(error as Error).message}`));
    process.exit(1);
  }
}
