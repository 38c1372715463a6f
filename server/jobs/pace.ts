/**
 * How a sweep goes through many rows beside people's requests: in steps so short that a request which meets one
 * hardly notices, with rests so long that most of the database's time stays theirs.
 */
import { setTimeout as sleep } from "node:timers/promises";

/** Rows of a step: the first is small, the next follow what the one before took. */
const FIRST_ROWS = 100;
const MIN_ROWS = 100;
const MAX_ROWS = 500;
/** What a step should take. SQLite does nothing else meanwhile. */
const STEP_MS = 15;
/** After a step, as a multiple of its time. */
const REST_FACTOR = 3;
const REST_MS_MAX = 200;
/** Of one sweep in one run, so that whoever asks for a run by hand has an answer within minutes; the rest is for the next. */
export const ROWS_A_RUN = 20_000;

export interface Swept {
  readonly rows: number;
  /** There is more: the bound was reached. */
  readonly isCutOff: boolean;
}

export function nextRows(rows: number, tookMs: number): number {
  if (tookMs > STEP_MS) return Math.max(MIN_ROWS, Math.floor(rows / 2));
  return tookMs < STEP_MS / 2 ? Math.min(MAX_ROWS, rows * 2) : rows;
}

/**
 * Calls `step` until it does less than it may. A dry run is asked once, for the most: nothing goes away in between.
 */
export async function inBatches(
  dryRun: boolean,
  step: (limit: number) => Promise<number>,
  rowsMax = ROWS_A_RUN,
): Promise<Swept> {
  if (dryRun) return { rows: await step(MAX_ROWS), isCutOff: false };
  let rows = 0;
  let limit = FIRST_ROWS;
  for (;;) {
    const startedMs = performance.now();
    const count = await step(limit);
    const tookMs = performance.now() - startedMs;
    rows += count;
    if (count < limit) return { rows, isCutOff: false };
    if (rows >= rowsMax) return { rows, isCutOff: true };
    limit = nextRows(limit, tookMs);
    await sleep(Math.min(tookMs * REST_FACTOR, REST_MS_MAX));
  }
}
