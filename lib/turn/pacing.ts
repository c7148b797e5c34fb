// The numbers that pace a turn's text on the server, in the order of its way from the provider to a
// reader (docs/performance.md, decisions 0011 and 0013). Text waits for two things only: the log's
// next commit and, if a reader asks for it, the gathering of its frames. What waits together is
// joined by merge.ts, or before the SDK, as the provider's events, by lib/models/answer-stream.ts.

/**
 * Text unread in a provider's socket that one commit lets through, oldest first: 75 × 40/s =
 * 3,000/s, about three quarters of a core from the provider's socket to the reader's. With more
 * streams, each releases more text per turn: 500 streams cycle in 170 ms. Texts held for `holdMs`
 * are released beyond this limit, or a busy process would fall further behind each round.
 */
export const maxTextsPerCommit = 75;
/** Too short for a reader to see a pause; provider silence is measured after it. */
export const holdMs = 150;

/** Bytes of one turn waiting to be stored before its run is paused. */
export const maxPendingBytes = 1_048_576;
/**
 * Of a joined delta, in characters; a longer one is split. Keeps a stored chunk well below the 256
 * KiB a reader may have in flight.
 */
export const maxDeltaLength = 16_384;

/** Minimum time between commit starts: at most 40 commits/s. */
export const commitIntervalMs = 25;
/**
 * A turn's first text skips the interval, up to this many times per second, so a burst of new turns
 * causes at most 70 commits/s.
 */
export const urgentCommitsPerSecond = 30;
/** Bounds one statement after an outage, when every turn may have its full backlog to store. */
export const maxCommitBytes = 8_388_608;

/** Lets readers lag a few commits; a larger window would cost memory for every live turn. */
export const maxWindowBytes = 524_288;
/**
 * Maximum batch of one read: with one write in flight and one prepared, a reader holds at most 256
 * KiB.
 */
export const maxBatchBytes = 131_072;

/** The longest interval a reader may ask for. More than a second would be noticeable. */
export const maxGatherMs = 1_000;
/** About twenty times reading speed. Below it every delta is sent immediately. */
export const gatherFromCharactersPerSecond = 500;
/** With this much text the frame overhead is negligible: stop waiting. */
export const maxGatheredLength = 2_048;
