import { describe, expect, it } from "vitest";
import { JournalEntry } from "../../server/deployment/journal-entry.ts";
import { JOURNAL_BYTES_MAX, keepable, RecentJournals } from "../../server/services/recent-journals.ts";

function bytes(sizeBytes: number): Uint8Array {
  return new Uint8Array(sizeBytes);
}

/** So much that two of them are too much for one update. */
const HALF = JOURNAL_BYTES_MAX / 2;

function entries(...sequenceIds: readonly number[]): JournalEntry[] {
  return sequenceIds.map((sequenceId) => Object.assign(new JournalEntry(), { sequenceId }));
}

describe("recent journals", () => {
  it("gives back once what is all that the database has", () => {
    const journals = new RecentJournals();
    const [first, second] = [entries(1, 2), entries(3)];
    journals.add("u", bytes(100), first);
    journals.add("other", bytes(7), entries(1));
    journals.add("u", bytes(50), second);
    expect(journals.take("u", { batchCount: 2, sizeBytes: 150 })).toEqual([first, second]);
    expect(journals.take("u", { batchCount: 2, sizeBytes: 150 })).toBeNull();
    expect(journals.take("other", { batchCount: 1, sizeBytes: 7 })).toHaveLength(1);
  });

  it("gives nothing when another server has stored a part, or bytes don't match", () => {
    const journals = new RecentJournals();
    journals.add("u", bytes(100), entries(1));
    expect(journals.take("u", { batchCount: 2, sizeBytes: 200 })).toBeNull();
    journals.add("v", bytes(100), entries(1));
    expect(journals.take("v", { batchCount: 1, sizeBytes: 101 })).toBeNull();
    expect(journals.take("w", { batchCount: 0, sizeBytes: 0 })).toBeNull();
  });

  it("leaves it to the database which of two entries with one number came first", () => {
    const journals = new RecentJournals();
    journals.add("u", bytes(100), entries(1, 2));
    journals.add("u", bytes(100), entries(2, 3));
    expect(journals.take("u", { batchCount: 2, sizeBytes: 200 })).toBeNull();
  });

  it("never gives the rest of a journal that it has let go of", () => {
    const journals = new RecentJournals();
    journals.add("u", bytes(HALF), entries(1));
    journals.add("u", bytes(HALF), entries(2));
    journals.add("u", bytes(1), entries(3));
    expect(journals.wants("u")).toBe(false);
    expect(journals.take("u", { batchCount: 3, sizeBytes: JOURNAL_BYTES_MAX + 1 })).toBeNull();
    expect(journals.wants("u")).toBe(true); // that update is over
  });

  it("keeps no more than its bound, and lets go of the oldest", () => {
    const journals = new RecentJournals();
    for (let i = 0; i < 100; i++) journals.add(`u${i}`, bytes(HALF), entries(1));
    const kept = Array.from({ length: 100 }, (_, i) =>
      journals.take(`u${i}`, { batchCount: 1, sizeBytes: HALF }),
    );
    expect(kept.filter((it) => it !== null)).toHaveLength(15); // of 16 MiB, with what the entries take
    expect(kept[99]).not.toBeNull();
  });

  it("counts the memory that a small view keeps, and what entries take", () => {
    const journals = new RecentJournals();
    journals.add("u", bytes(JOURNAL_BYTES_MAX + 1).subarray(0, 10), entries(1));
    expect(journals.take("u", { batchCount: 1, sizeBytes: 10 })).toBeNull();
    journals.add("v", bytes(10), entries(...Array.from({ length: 2100 }, (_, i) => i + 1)));
    expect(journals.take("v", { batchCount: 1, sizeBytes: 10 })).toBeNull();
  });

  it("has room for many small batches, each of which came in a view of a pool", () => {
    const journals = new RecentJournals();
    for (let i = 1; i <= 100; i++) {
      const view = new Uint8Array(new ArrayBuffer(64 * 1024), 100, 1000).fill(i);
      const body = keepable(view);
      expect(body).toEqual(view);
      journals.add("u", body, entries(i));
    }
    expect(journals.take("u", { batchCount: 100, sizeBytes: 100_000 })).toHaveLength(100);
  });
});
