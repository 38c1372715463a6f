/** Random bytes from a pool: a call to the kernel for each nonce costs more than the sealing it is for. */
import { randomFillSync } from "node:crypto";

const POOL_BYTES = 8192;
let pool = Buffer.alloc(0);
let used = 0;

/** A copy of `count` bytes, at most 256, that nobody else gets. */
export function randomBytesPooled(count: number): Buffer {
  if (used + count > pool.length) {
    pool = randomFillSync(Buffer.allocUnsafe(POOL_BYTES));
    used = 0;
  }
  const bytes = Buffer.from(pool.subarray(used, used + count));
  pool.fill(0, used, used + count);
  used += count;
  return bytes;
}
