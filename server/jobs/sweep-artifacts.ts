/** Artifacts whose time is over: uploads that nobody confirmed, and what retention doesn't keep. */
import type { Context } from "../context.ts";
import { dropParts } from "../services/artifacts-parts.ts";

/** Each takes its blob along: the steps are short, and the file store's answers are rest enough. */
const BATCH = 100;
const BATCHES_MAX = 1_000;

/** Rows first: a crash before a blob is gone leaves one that nothing names. */
export async function sweepArtifacts(ctx: Context, nowMs: number, dryRun: boolean): Promise<number> {
  const { config, db } = ctx;
  const pending = await drain(ctx, dryRun, async () => {
    const blobKeys = await db.removePendingArtifacts({ beforeMs: nowMs, limit: BATCH, dryRun });
    if (!dryRun) for (const key of blobKeys) await dropParts(ctx, key);
    return blobKeys;
  });
  const rules = {
    nowMs,
    ageDays: config.artifactRetentionDays,
    perStack: { filesMax: config.artifactsKeepPerStack, bytesMax: config.artifactBytesPerStack },
    perOrganization: {
      filesMax: config.artifactsKeepPerOrganization,
      bytesMax: config.artifactBytesPerOrganization,
    },
  };
  return (
    pending + (await drain(ctx, dryRun, () => db.removeOldArtifacts({ ...rules, limit: BATCH, dryRun })))
  );
}

async function drain(ctx: Context, dryRun: boolean, step: () => Promise<string[]>): Promise<number> {
  let removed = 0;
  for (let batch = 0; batch < BATCHES_MAX; batch++) {
    const blobKeys = await step();
    removed += blobKeys.length;
    if (dryRun || blobKeys.length === 0) break;
    for (const key of blobKeys) await ctx.blobs.delete(key);
  }
  return removed;
}
