/** The journal of an update (section 4.8): checking its batches as they come, and replaying them at its end. */

import type { JournalEntry } from "./journal-entry.ts";
import { readJournalBatch } from "./journal-entry.ts";
import { JsonScanError } from "./json-scanner.ts";
import type { ReplayBase } from "./replay-base.ts";
import { emptyBase, readBase } from "./replay-base.ts";
import { writeDocument } from "./replay-document.ts";
import { ReplayError, ReplayState } from "./replay-state.ts";

export type { JournalEntry, JournalFailure } from "./journal-entry.ts";
export { JournalError } from "./journal-entry.ts";
export type { ReplayFailure } from "./replay-state.ts";
export { ReplayError } from "./replay-state.ts";

/**
 * Reads the decompressed body of one PATCH journalentries, checked for everything that replay needs; the entries
 * are views of it. Sequence ids are safe integers from 1, and one may come more than once. Without `facts` it is
 * checked all the same, but can't be replayed.
 * @throws JournalError naming the entry
 */
export function parseJournalBatch(
  body: Uint8Array,
  options: { depthMax?: number; facts?: boolean } = {},
): readonly JournalEntry[] {
  return readJournalBatch(body, { facts: true, ...options });
}

/** A batch as its stored body, or as `parseJournalBatch` read it; what was read may serve one replay. */
export type ReplayBatch = Uint8Array | readonly JournalEntry[];

export interface ReplayInput {
  /** Opens the base document, frozen at the update's start, anew at each call; null for a never-updated stack. */
  readonly openBase: (() => AsyncIterable<Uint8Array>) | null;
  /** In order of arrival; of a sequenceID that comes more than once the first counts. */
  readonly batches: AsyncIterable<ReplayBatch> | Iterable<ReplayBatch>;
  /** As the CLI names itself, e.g. "v3.260.0"; null leaves the manifest's version and magic empty. */
  readonly cliVersion: string | null;
  readonly now: Date;
}

/** `unchanged`: nothing but an unchanged secrets provider was recorded, so the base stays, byte for byte. */
export type Replayed =
  | { readonly kind: "unchanged" }
  | {
      readonly kind: "changed";
      /** Streams the new state; opens the base again at each call. */
      readonly document: () => AsyncIterable<Uint8Array>;
      readonly warnings: readonly string[];
    };

/** Batches were checked for depth when they came in, by whatever limit held then. */
const STORED_DEPTH_MAX = 1_000_000;

/** @throws ReplayError */
export async function replayJournal(input: ReplayInput): Promise<Replayed> {
  const entries = await orderedEntries(input.batches);
  if (entries.length === 0) return { kind: "unchanged" };
  const state = new ReplayState(await openedBase(input.openBase));
  const last = entries.at(-1);
  for (const entry of entries) state.apply(entry, entry === last);
  if (!state.touched) return { kind: "unchanged" };
  const generated = state.generate();
  return { kind: "changed", document: () => writeDocument(generated, input), warnings: state.warnings };
}

async function orderedEntries(batches: ReplayInput["batches"]): Promise<readonly JournalEntry[]> {
  const bySequence = new Map<number, JournalEntry>();
  let index = 0;
  for await (const batch of batches) {
    for (const entry of entriesOf(batch, index)) {
      const sequenceId = entry.sequenceId ?? 0;
      if (!bySequence.has(sequenceId)) bySequence.set(sequenceId, entry);
    }
    index += 1;
  }
  return [...bySequence.values()].sort((a, b) => (a.sequenceId ?? 0) - (b.sequenceId ?? 0));
}

function entriesOf(batch: ReplayBatch, index: number): readonly JournalEntry[] {
  if (!(batch instanceof Uint8Array)) return batch;
  try {
    return readJournalBatch(batch, { facts: true, depthMax: STORED_DEPTH_MAX });
  } catch (error) {
    throw new ReplayError("malformed_batch", null, `Stored batch ${index} cannot be read`, { cause: error });
  }
}

async function openedBase(openBase: ReplayInput["openBase"]): Promise<ReplayBase> {
  if (openBase === null) return emptyBase();
  try {
    return await readBase(openBase());
  } catch (error) {
    if (!(error instanceof JsonScanError)) throw error;
    throw new ReplayError("malformed_base", null, `The base document cannot be read: ${error.message}`, {
      cause: error,
    });
  }
}
