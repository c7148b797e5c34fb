// Time limits on a loaded or slow machine: each limit is multiplied by the current slowdown, so
// that it fails when the product is slow but not when the machine is.

/** Each step depends on the previous one: a fixed number of clock cycles, about 80 million. */
const steps = 20_000_000;
/** Their duration at 2.7 GHz on an otherwise idle core. */
const idleMs = 30;

/** Pages that a first write maps, 4 kB each. */
const faults = 4_096;
/** Their duration where memory is at hand; ten times as long on a virtual machine whose host reclaims it. */
const idleFaultsMs = 11;
/** Page faults are a part of any work's cost, never all of it. */
const maxMemorySlowdown = 3;

function busy(count = steps): number {
  let value = 1;
  for (let step = 0; step < count; step++) value = (Math.imul(value, 1_664_525) + 1_013_904_223) | 0;
  return value;
}

function touchNewMemory(): void {
  // Always mapped anew, while the allocator would hand out memory that was written before.
  const memory = new Uint8Array(new WebAssembly.Memory({ initial: faults / 16 }).buffer);
  for (let at = 0; at < memory.length; at += 4_096) memory[at] = 1;
}

// Warms up the JIT.
busy(steps / 10);

/**
 * 1 on an idle machine; 3 where three processes share each core, where the host gives this machine
 * a third of one, or where a new page of memory costs three times as much.
 */
function slowdown(): number {
  const startMs = performance.now();
  busy();
  const cpuMs = performance.now() - startMs;
  touchNewMemory();
  const memoryMs = performance.now() - startMs - cpuMs;
  return Math.max(1, cpuMs / idleMs, Math.min(maxMemorySlowdown, memoryMs / idleFaultsMs));
}

/** Call it where the time is compared, right after the measurement. */
export function underLoad(limitMs: number): number {
  return limitMs * slowdown();
}

/** The first of several measurements that passes, else the last: noise only lengthens. */
export async function bestOf<Measured>(
  attempts: number,
  measure: () => Promise<Measured>,
  isFine: (measured: Measured) => boolean,
): Promise<Measured> {
  const measured = await measure();
  return attempts === 1 || isFine(measured) ? measured : bestOf(attempts - 1, measure, isFine);
}
