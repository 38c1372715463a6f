/**
 * What was read of journal batches when they came, kept for the replay at the end of their update: usually the
 * same server does both, and so reads each batch once. The database stays the truth: what is here counts only while
 * it is just as much as the database holds.
 */
import type { Context } from "../context.ts";
import type { JournalEntry } from "../deployment/journal.ts";

/** Plain bytes of one update's batches. */
export const JOURNAL_BYTES_MAX = 512 * 1024;
/** Of all updates together; what was read from them takes some more. */
const KEPT_BYTES_MAX = 8 * 1024 * 1024;

interface Journal {
  readonly batches: (readonly JournalEntry[])[];
  readonly sequenceIds: Set<number>;
  sizeBytes: number;
}

/** In the order of arrival where that matters; null when what is kept isn't all there is. */
export type KeptBatches = readonly (readonly JournalEntry[])[] | null;

export class RecentJournals {
  /** By update; the one that was written last is at the end. */
  readonly #journals = new Map<string, Journal>();
  #sizeBytes = 0;

  /** A batch that the database has just stored, and did not have before. */
  add(updateId: string, entries: readonly JournalEntry[], sizeBytes: number): void {
    const journal = this.#remove(updateId) ?? { batches: [], sequenceIds: new Set(), sizeBytes: 0 };
    // Dropped, and whatever comes later is never all there is.
    if (journal.sizeBytes + sizeBytes > JOURNAL_BYTES_MAX || !areNew(entries, journal.sequenceIds)) return;
    journal.batches.push(entries);
    journal.sizeBytes += sizeBytes;
    this.#journals.set(updateId, journal);
    this.#sizeBytes += journal.sizeBytes;
    for (const [oldest] of this.#journals) {
      if (this.#sizeBytes <= KEPT_BYTES_MAX) break;
      this.#remove(oldest);
    }
  }

  /** What is kept of an update, for good: a replay may change what it was given. */
  take(updateId: string, stored: { readonly batchCount: number; readonly sizeBytes: number }): KeptBatches {
    const journal = this.#remove(updateId);
    if (journal === null) return null;
    const isAll = journal.batches.length === stored.batchCount && journal.sizeBytes === stored.sizeBytes;
    return isAll ? journal.batches : null;
  }

  #remove(updateId: string): Journal | null {
    const journal = this.#journals.get(updateId) ?? null;
    if (journal === null) return null;
    this.#journals.delete(updateId);
    this.#sizeBytes -= journal.sizeBytes;
    return journal;
  }
}

/**
 * Adds the entries' sequence ids. False when one was there before: then the order of arrival decides which of the
 * two counts, and answers of the database may overtake each other.
 */
function areNew(entries: readonly JournalEntry[], sequenceIds: Set<number>): boolean {
  for (const { sequenceId } of entries) {
    if (sequenceId === null || sequenceIds.has(sequenceId)) return false;
    sequenceIds.add(sequenceId);
  }
  return true;
}

const byContext = new WeakMap<Context, RecentJournals>();

export function recentJournalsOf(ctx: Context): RecentJournals {
  let journals = byContext.get(ctx);
  if (journals === undefined) {
    journals = new RecentJournals();
    byContext.set(ctx, journals);
  }
  return journals;
}
