import { describe, expect, it } from "vitest";
import { Fixture, type MakeDatabase, tally, text, times } from "./support.ts";

export function describeJournal(make: MakeDatabase): void {
  describe("the journal", () => {
    it("appends batches in order and knows the same bytes again", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      expect(await fixture.append(ref, "d1")).toEqual({ kind: "appended" });
      const { revision } = await fixture.fold("u1");
      expect(await fixture.append(ref, "d1")).toEqual({ kind: "already_appended" });
      expect((await fixture.fold("u1")).revision).toBe(revision);
      expect(await fixture.append(ref, "d2")).toEqual({ kind: "appended" });
      const fold = await fixture.fold("u1");
      expect(fold.revision).toBeGreaterThan(revision);
      expect(fold).toMatchObject({ journalBatchCount: 2, journalSizeBytes: 20, journalAfterId: 0 });
      const batches = await fixture.db.listJournalBatches("u1", 0, 9);
      expect(batches.map((batch) => text(batch.body))).toEqual(["entries d1", "entries d2"]);
      const [first, second] = batches.map((batch) => batch.id);
      expect(second).toBeGreaterThan(first ?? 0);
      const rest = await fixture.db.listJournalBatches("u1", first ?? 0, 9);
      expect(rest.map((batch) => batch.id)).toEqual([second]);
      expect(await fixture.db.listJournalBatches("u1", 0, 1)).toHaveLength(1);
    });

    it("keeps the batches of two updates apart, the same digest or not", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.createStack("other");
      const one = await fixture.begin("u1");
      const two = await fixture.begin("u2", { stack: "other" });
      expect(await fixture.append(one, "d")).toEqual({ kind: "appended" });
      expect(await fixture.append(two, "d")).toEqual({ kind: "appended" });
      expect(await fixture.db.listJournalBatches("u1", 0, 9)).toHaveLength(1);
    });

    it("refuses what would make it larger than allowed, and takes what still fits", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      const journalBytesMax = 10;
      expect(await fixture.append(ref, "d1", { body: "12345678", journalBytesMax })).toEqual({
        kind: "appended",
      });
      expect(await fixture.append(ref, "d2", { body: "123", journalBytesMax })).toEqual({
        kind: "journal_full",
      });
      expect(await fixture.append(ref, "d1", { body: "12345678", journalBytesMax })).toEqual({
        kind: "already_appended",
      });
      expect(await fixture.append(ref, "d3", { body: "12", journalBytesMax })).toEqual({ kind: "appended" });
    });

    it("stores each of 64 concurrent batches once, however often it is sent", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      const outcomes = await times(64, (i) => fixture.append(ref, `d${i % 16}`));
      expect(tally(outcomes)).toEqual({ appended: 16, already_appended: 48 });
      const fold = await fixture.fold("u1");
      expect(fold.journalBatchCount).toBe(16);
      const batches = await fixture.db.listJournalBatches("u1", 0, 100);
      const stored = batches.map((batch) => text(batch.body));
      expect(new Set(stored).size).toBe(16);
      expect(fold.journalSizeBytes).toBe(stored.join("").length);
    });

    it("gives back a large body as it was", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      const body = "0123456789abcdef".repeat(65_536);
      await fixture.append(ref, "d1", { body, journalBytesMax: 2_000_000 });
      const [batch] = await fixture.db.listJournalBatches("u1", 0, 1);
      expect(text(batch?.body ?? new Uint8Array())).toBe(body);
    });
  });
}
