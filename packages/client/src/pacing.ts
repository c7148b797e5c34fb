// How often and how evenly a page shows text that arrives in bursts: every number of it.

/** Drawing more often is invisible: about three frames. */
export const drawMs = 50;

/**
 * The longest gathering delay that does not make a fast answer late: one frame per token is five
 * times the text's bytes.
 */
export const gatherMs = 400;

/**
 * Longer than `gatherMs` with the network's jitter: after such a pause the text was not gathered
 * but delayed, and should be shown immediately.
 */
export const maxHoldMs = 500;

/** Characters; about a line. Less is no burst, however long it took to arrive. */
export const burstLength = 80;
