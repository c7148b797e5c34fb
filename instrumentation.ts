// Next calls this once, before the first request; server-lifecycle.ts takes over from there.
export async function register(): Promise<void> {
  if (process.env.NEXT_RUNTIME !== "nodejs") return;
  try {
    // Before anything else loads: the providers' SDKs read process.env at import.
    const { claimEnvironment } = await import("./lib/env");
    claimEnvironment();
    const { installRequestGate } = await import("./lib/request-gate");
    installRequestGate();
    const { startServerLifecycle } = await import("./server-lifecycle");
    await startServerLifecycle();
  } catch (error) {
    // Next would only log it and answer every request with 500.
    const { terminalSafe } = await import("./lib/logger");
    console.error(terminalSafe(`Rivulet cannot start: ${(error as Error).message}`));
    process.exit(1);
  }
}
