/**
 * Blobs that no row names: left by a crash between a blob and its row, or by removed versions. Only those
 * older than a day go, so that one whose row is about to be written is never taken.
 */
import { ARTIFACTS_PREFIX } from "../blobs/artifacts.ts";
import { STACKS_PREFIX } from "../blobs/keys.ts";
import type { Context } from "../context.ts";

const KEYS_A_LOOKUP = 500;

export async function sweepBlobs(ctx: Context, olderThanMs: number, dryRun: boolean): Promise<number> {
  let removed = 0;
  let keys: string[] = [];
  const flush = async () => {
    const unnamed = await ctx.db.findUnnamedBlobs(keys);
    keys = [];
    removed += unnamed.length;
    if (dryRun) return;
    for (const key of unnamed) await ctx.blobs.delete(key);
  };
  for (const prefix of [STACKS_PREFIX, ARTIFACTS_PREFIX]) {
    for await (const blob of ctx.blobs.list(prefix)) {
      if (blob.modifiedMs >= olderThanMs) continue;
      keys.push(blob.key);
      if (keys.length >= KEYS_A_LOOKUP) await flush();
    }
  }
  if (keys.length > 0) await flush();
  return removed;
}
