/**
 * What was read of journal batches when they came, kept for the replay at the end of their update: usually the
 * same server does both, and so reads each batch once. The database stays the truth: what is here counts only while
 * it is just as much as the database holds.
 */
import { perContext } from "../context.ts";
import type { JournalEntry } from "../deployment/journal.ts";
import { copyOf } from "../deployment/json-text.ts";

/** Memory for one update's batches: some more than those take that are replayed here and not in a worker. */
export const JOURNAL_BYTES_MAX = 2 * 1024 * 1024;
/** Memory for all updates together. */
const KEPT_BYTES_MAX = 16 * 1024 * 1024;
/** Updates, those included whose journals are not kept any more. */
const UPDATES_MAX = 10_000;
/** What an entry takes beside its bytes, generously. */
const ENTRY_BYTES = 1024;

interface Journal {
  readonly batches: (readonly JournalEntry[])[];
  readonly sequenceIds: Set<number>;
  /** Plain bytes of the batches. */
  sizeBytes: number;
  /** Memory they keep. */
  heldBytes: number;
  /** It has become too large, or can't be put in order here. */
  isGivenUp: boolean;
}

/** In the order of arrival where that matters; null when what is kept isn't all there is. */
export type KeptBatches = readonly (readonly JournalEntry[])[] | null;

/**
 * A batch's plain bytes, in memory of their own where they are a small view. Buffers below 32 KiB are views of a pool
 * of 64 KiB: a few small batches would hold as much memory as a large journal, and leave no room for the next.
 */
export function keepable(body: Uint8Array): Uint8Array {
  return body.byteLength * 2 < body.buffer.byteLength ? copyOf(body) : body;
}

export class RecentJournals {
  /** By update; the one that was written last is at the end. */
  readonly #journals = new Map<string, Journal>();
  #heldBytes = 0;

  /** A batch that the database has just stored, and did not have before: its plain bytes and what they say. */
  add(updateId: string, body: Uint8Array, entries: readonly JournalEntry[]): void {
    const journal = this.#remove(updateId) ?? newJournal();
    this.#put(updateId, journal.isGivenUp ? journal : grown(journal, body, entries));
    for (const [oldest] of this.#journals) {
      if (this.#heldBytes <= KEPT_BYTES_MAX && this.#journals.size <= UPDATES_MAX) break;
      this.#remove(oldest);
    }
  }

  /** Whether it is worth while to read a batch for the replay already. */
  wants(updateId: string): boolean {
    return this.#journals.get(updateId)?.isGivenUp !== true;
  }

  /** What is kept of an update, for good: a replay may change what it was given. */
  take(updateId: string, stored: { readonly batchCount: number; readonly sizeBytes: number }): KeptBatches {
    const journal = this.#remove(updateId);
    if (journal === null) return null;
    const isAll = journal.batches.length === stored.batchCount && journal.sizeBytes === stored.sizeBytes;
    return isAll && !journal.isGivenUp ? journal.batches : null;
  }

  #put(updateId: string, journal: Journal): void {
    this.#journals.set(updateId, journal);
    this.#heldBytes += journal.heldBytes;
  }

  #remove(updateId: string): Journal | null {
    const journal = this.#journals.get(updateId) ?? null;
    if (journal === null) return null;
    this.#journals.delete(updateId);
    this.#heldBytes -= journal.heldBytes;
    return journal;
  }
}

function newJournal(): Journal {
  return { batches: [], sequenceIds: new Set(), sizeBytes: 0, heldBytes: 0, isGivenUp: false };
}

/** The journal with one batch more; given up, and empty, where that can't be kept. */
function grown(journal: Journal, body: Uint8Array, entries: readonly JournalEntry[]): Journal {
  // The entries are views of the bytes, and those may be a small view of more memory.
  const heldBytes = journal.heldBytes + body.buffer.byteLength + entries.length * ENTRY_BYTES;
  if (heldBytes > JOURNAL_BYTES_MAX || !areNew(entries, journal.sequenceIds))
    return { ...newJournal(), isGivenUp: true };
  journal.batches.push(entries);
  journal.sizeBytes += body.byteLength;
  journal.heldBytes = heldBytes;
  return journal;
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

export const recentJournalsOf = perContext(() => new RecentJournals());
