// Time limits on a loaded machine. A limit that holds on an idle machine is stretched by how much slower this one is now, so that it
// still fails where the product is slow, and does not where the machine is.

/** CPU time of one sample: several time slices of the scheduler. */
const sampleMs = 30;

/** Wall time over CPU time of a short busy loop: 1 on an idle machine, 3 where three processes share each core. */
function slowdown(): number {
  const cpu = process.threadCpuUsage();
  const startMs = performance.now();
  const usedMs = () => {
    const { user, system } = process.threadCpuUsage(cpu);
    return (user + system) / 1_000;
  };
  while (usedMs() < sampleMs);
  return Math.max(1, (performance.now() - startMs) / usedMs());
}

/** To be called where the time is compared, right after what was timed. */
export function underLoad(limitMs: number): number {
  return limitMs * slowdown();
}
