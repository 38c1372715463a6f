import { describe, expect, it } from "vitest";
import { document, Fixture, type MakeDatabase, NOW_MS, refOf, tally, text, times } from "./support.ts";

export function describeEvents(make: MakeDatabase): void {
  describe("events", () => {
    it("lists batches by first sequence however they came, from a sequence on", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      expect(await fixture.events(ref, "b", [50, 99])).toEqual({ kind: "appended" });
      expect(await fixture.events(ref, "a", [0, 49])).toEqual({ kind: "appended" });
      expect(await fixture.events(ref, "a2", [0, 10])).toEqual({ kind: "appended" });
      expect(await fixture.events(ref, "a", [0, 49])).toEqual({ kind: "already_appended" });
      const list = async (after: number, limit = 9) =>
        (await fixture.db.listEventBatches("u1", after, limit)).map((batch) => text(batch.body));
      expect(await list(-1)).toEqual(["events a", "events a2", "events b"]);
      expect(await list(-1, 2)).toEqual(["events a", "events a2"]);
      expect(await list(10)).toEqual(["events a", "events b"]);
      expect(await list(49)).toEqual(["events b"]);
      expect(await list(99)).toEqual([]);
      const [first] = await fixture.db.listEventBatches("u1", -1, 1);
      expect(first).toMatchObject({ firstSequence: 0, lastSequence: 49 });
    });

    it("keeps the last summary's counts", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      await fixture.events(ref, "a", [0, 1], '{"create":1}');
      await fixture.events(ref, "b", [2, 3]);
      expect((await fixture.db.findUpdate(ref))?.resourceChanges).toBe('{"create":1}');
      await fixture.events(ref, "c", [4, 5], '{"same":2}');
      expect((await fixture.db.findUpdate(ref))?.resourceChanges).toBe('{"same":2}');
    });

    it("doesn't move the revision: events are no state", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      const { revision } = await fixture.fold("u1");
      await fixture.events(ref, "a", [0, 1], "{}");
      expect((await fixture.fold("u1")).revision).toBe(revision);
    });

    it("drops those of a finished update, refuses a stranger's", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      await fixture.finish("u1", document("k1"));
      expect(await fixture.events(ref, "late", [0, 1])).toEqual({ kind: "dropped" });
      expect(await fixture.db.listEventBatches("u1", -1, 9)).toEqual([]);
      const input = { digest: "x", firstSequence: 0, lastSequence: 1, body: new Uint8Array([1]) };
      const append = { ...input, tokenHash: "x", resourceChanges: null, nowMs: NOW_MS };
      const stranger = { kind: "lease_refused", why: "wrong_token" };
      expect(await fixture.db.appendEvents({ ref, ...append })).toEqual(stranger);
      const unknown = await fixture.db.appendEvents({ ref: refOf("none"), ...append });
      expect(unknown).toEqual({ kind: "lease_refused", why: "unknown_update" });
    });

    it("stores each of many concurrent batches once", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      const outcomes = await times(40, (i) => fixture.events(ref, `e${i % 10}`, [i % 10, i % 10]));
      expect(tally(outcomes)).toEqual({ appended: 10, already_appended: 30 });
      expect(await fixture.db.listEventBatches("u1", -1, 100)).toHaveLength(10);
    });

    it("removes those of updates that ended before the moment, in batches", async () => {
      const fixture = await Fixture.withStack(make);
      for (const [index, id] of ["u1", "u2"].entries()) {
        const ref = await fixture.begin(id);
        await times(3, (i) => fixture.events(ref, `e${i}`, [i, i]));
        await fixture.finish(id, null, { nowMs: NOW_MS + index * 10 });
      }
      const running = await fixture.begin("u3");
      await fixture.events(running, "e", [0, 0]);
      const sweep = (limit: number, dryRun: boolean) =>
        fixture.db.removeOldEvents({ endedBeforeMs: NOW_MS + 10, limit, dryRun });
      expect(await sweep(9, true)).toBe(3);
      expect(await sweep(2, false)).toBe(2);
      expect(await sweep(2, false)).toBe(1);
      expect(await sweep(2, false)).toBe(0);
      const left = await Promise.all(["u1", "u2", "u3"].map((id) => fixture.db.listEventBatches(id, -1, 9)));
      expect(left.map((batches) => batches.length)).toEqual([0, 3, 1]);
    });
  });
}
