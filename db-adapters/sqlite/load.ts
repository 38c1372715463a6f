/** How many writes shared the last commits, as a running mean: whether many clients are waiting at once. */

/** Weight of the newest commit: some thirty of them make up the mean. */
const WEIGHT = 1 / 16;
/** From here on, what two threads do at the same time outweighs waking each other. */
const HIGH = 2.2;
/** Well below, so that a load at the border doesn't go to and fro. */
const LOW = 1.3;

export interface Load {
  readonly mean: number;
}

export const CALM: Load = { mean: 1 };

export function afterCommit({ mean }: Load, writes: number): Load {
  return { mean: mean + (writes - mean) * WEIGHT };
}

export function isHigh({ mean }: Load): boolean {
  return mean >= HIGH;
}

export function isLow({ mean }: Load): boolean {
  return mean <= LOW;
}
