import { describe, expect, it } from "vitest";
import { JournalEntry } from "../../server/deployment/journal-entry.ts";
import { JOURNAL_BYTES_MAX, RecentJournals } from "../../server/services/recent-journals.ts";

function entries(...sequenceIds: readonly number[]): JournalEntry[] {
  return sequenceIds.map((sequenceId) => Object.assign(new JournalEntry(), { sequenceId }));
}

describe("recent journals", () => {
  it("gives back once what is all that the database has", () => {
    const journals = new RecentJournals();
    const [first, second] = [entries(1, 2), entries(3)];
    journals.add("u", first, 100);
    journals.add("other", entries(1), 7);
    journals.add("u", second, 50);
    expect(journals.take("u", { batchCount: 2, sizeBytes: 150 })).toEqual([first, second]);
    expect(journals.take("u", { batchCount: 2, sizeBytes: 150 })).toBeNull();
    expect(journals.take("other", { batchCount: 1, sizeBytes: 7 })).toHaveLength(1);
  });

  it("gives nothing when another server has stored a part, or bytes don't match", () => {
    const journals = new RecentJournals();
    journals.add("u", entries(1), 100);
    expect(journals.take("u", { batchCount: 2, sizeBytes: 200 })).toBeNull();
    journals.add("v", entries(1), 100);
    expect(journals.take("v", { batchCount: 1, sizeBytes: 101 })).toBeNull();
    expect(journals.take("w", { batchCount: 0, sizeBytes: 0 })).toBeNull();
  });

  it("leaves it to the database which of two entries with one number came first", () => {
    const journals = new RecentJournals();
    journals.add("u", entries(1, 2), 100);
    journals.add("u", entries(2, 3), 100);
    expect(journals.take("u", { batchCount: 2, sizeBytes: 200 })).toBeNull();
  });

  it("never gives the rest of a journal that it has let go of", () => {
    const journals = new RecentJournals();
    journals.add("u", entries(1), JOURNAL_BYTES_MAX);
    journals.add("u", entries(2), 1);
    journals.add("u", entries(3), 1);
    expect(journals.take("u", { batchCount: 3, sizeBytes: JOURNAL_BYTES_MAX + 2 })).toBeNull();
  });

  it("keeps no more than its bound, and lets go of the oldest", () => {
    const journals = new RecentJournals();
    for (let i = 0; i < 100; i++) journals.add(`u${i}`, entries(1), JOURNAL_BYTES_MAX);
    const kept = Array.from({ length: 100 }, (_, i) =>
      journals.take(`u${i}`, { batchCount: 1, sizeBytes: JOURNAL_BYTES_MAX }),
    );
    expect(kept.filter((it) => it !== null)).toHaveLength(16);
    expect(kept[99]).not.toBeNull();
  });
});
