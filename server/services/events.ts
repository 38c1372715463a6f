/** Engine events: kept for display, in batches as they came; the reader puts them in order. */
import { hash } from "node:crypto";
import type { Update } from "../../db-adapters/contract.ts";
import type { Context } from "../context.ts";
import { seal, unseal } from "../crypto/seal.ts";
import type { LeaseClaim } from "../rules/access.ts";
import { checkLease, leaseExpired, scopeOf } from "./lease.ts";
import type { PackedBody } from "./saves.ts";

const BATCHES_A_PAGE = 20;

/** One engine event, as far as the server reads it. */
export interface EngineEvent {
  readonly sequence: number;
  readonly summaryEvent?:
    | { readonly resourceChanges?: Readonly<Record<string, number>> | null | undefined }
    | null
    | undefined;
}

function purposeOf(updateId: string): string {
  return `events:${updateId}`;
}

/**
 * Stores a batch: the events, and the JSON that they were read from. Batches overlap, repeat and overtake each other;
 * none of it is an error.
 * @throws AppError LEASE_EXPIRED
 */
export async function appendEvents(
  ctx: Context,
  claim: LeaseClaim,
  events: readonly EngineEvent[],
  { plain, gzip }: PackedBody,
): Promise<void> {
  const { stackId } = await scopeOf(ctx, claim.ref);
  if (events.length === 0) return checkLease(ctx, claim);
  let firstSequence = Number.MAX_SAFE_INTEGER;
  let lastSequence = 0;
  let resourceChanges: string | null = null;
  for (const event of events) {
    firstSequence = Math.min(firstSequence, event.sequence);
    lastSequence = Math.max(lastSequence, event.sequence);
    const changes = event.summaryEvent?.resourceChanges;
    if (changes) resourceChanges = JSON.stringify(changes);
  }
  const outcome = await ctx.db.appendEvents({
    ...claim,
    digest: hash("sha256", plain, "base64url"),
    firstSequence,
    lastSequence,
    body: seal(ctx.keyring, stackId, purposeOf(claim.ref.updateId), plain, { compress: true, gzip }),
    resourceChanges,
    nowMs: ctx.nowMs(),
  });
  if (outcome.kind === "lease_refused") throw leaseExpired(claim, outcome.why);
}

export interface EventPage {
  readonly events: readonly unknown[];
  /** Where to go on; null once the update has ended and all was given. */
  readonly continuation: string | null;
}

/**
 * A page of events in their order. While the update runs, only up to the first gap: batches overtake each
 * other, and whoever reads on from behind a gap would never see what fills it.
 */
export async function listEvents(
  ctx: Context,
  update: Update,
  continuation: string | null,
): Promise<EventPage> {
  const afterSequence = continuation === null ? -1 : Number(continuation);
  const isRunning = update.status === "running" || update.status === "not started";
  const found = await eventsAfter(ctx, update, afterSequence);
  const events: EngineEvent[] = [];
  let last = afterSequence;
  for (const event of found.events) {
    if (isRunning && event.sequence !== last + 1) break;
    events.push(event);
    last = event.sequence;
  }
  const isEnd = !isRunning && !found.more;
  return { events, continuation: isEnd ? null : String(last) };
}

async function eventsAfter(
  ctx: Context,
  update: Update,
  afterSequence: number,
): Promise<{ events: EngineEvent[]; more: boolean }> {
  const page = await ctx.db.listEventBatches(update.id, afterSequence, BATCHES_A_PAGE + 1);
  const beyond = page.length > BATCHES_A_PAGE ? page.at(-1) : undefined;
  const bySequence = new Map<number, EngineEvent>();
  for (const batch of page.slice(0, BATCHES_A_PAGE)) {
    const plain = unseal(ctx.keyring, update.stackId, purposeOf(update.id), batch.body);
    const parsed = JSON.parse(Buffer.from(plain).toString("utf8")) as { events: EngineEvent[] };
    for (const event of parsed.events) {
      if (event.sequence > afterSequence && !bySequence.has(event.sequence))
        bySequence.set(event.sequence, event);
    }
  }
  const sorted = [...bySequence.values()].sort((a, b) => a.sequence - b.sequence);
  // A batch not read yet may hold events from its first sequence on; what lies below is complete.
  const complete = beyond === undefined ? sorted : sorted.filter((it) => it.sequence < beyond.firstSequence);
  return { events: complete.length > 0 ? complete : sorted, more: beyond !== undefined };
}
