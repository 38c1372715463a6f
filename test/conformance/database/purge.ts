import { describe, expect, it } from "vitest";
import { document, Fixture, type MakeDatabase, NOW_MS, times } from "./support.ts";

export function describePurge(make: MakeDatabase): void {
  describe("the purge of deleted stacks", () => {
    it("removes all rows in bounded batches, and says when it is done", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      const { db } = fixture;
      await db.replaceTags("s-dev", { a: "1", b: "2" });
      for (const id of ["u1", "u2"]) {
        const ref = await fixture.begin(id);
        await times(5, (i) => fixture.events(ref, `e${i}`, [i, i]));
        await times(5, (i) => fixture.append(ref, `d${i}`));
        await fixture.finish(id, document(`k-${id}`), { status: "failed", keepJournal: true });
      }
      await fixture.createStack("other", { state: document("other") });
      await db.deleteStack({ stackId: "s-dev", force: true, nowMs: NOW_MS });
      expect(await db.listDeletedStacks(9)).toEqual(["s-dev"]);
      let removed = 0;
      for (let isDone = false, rounds = 0; !isDone; rounds += 1) {
        expect(rounds).toBeLessThan(50);
        const step = await db.purgeDeletedStack("s-dev", 4);
        expect(step.removed).toBeLessThanOrEqual(4);
        removed += step.removed;
        isDone = step.done;
      }
      // 20 batches, 2 updates, 3 state versions, the stack; tags and inputs as the engine counts them.
      expect(removed).toBeGreaterThanOrEqual(26);
      expect(await db.listDeletedStacks(9)).toEqual([]);
      expect(await db.findUnnamedBlobs(["k0", "k-u1", "k-u2", "other"])).toEqual(["k0", "k-u1", "k-u2"]);
      expect(await db.statistics()).toMatchObject({ stacks: 1, stateVersions: 1, stateBytes: 100 });
      expect(await db.purgeDeletedStack("s-dev", 4)).toEqual({ removed: 0, done: true });
    });

    it("leaves a living stack alone", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      expect(await fixture.db.purgeDeletedStack("s-dev", 9)).toEqual({ removed: 0, done: true });
      expect(await fixture.db.findState("s-dev", "latest")).not.toBeNull();
    });

    it("lists the oldest deletion first", async () => {
      const fixture = await Fixture.make(make);
      for (const [index, stack] of ["c", "a", "b"].entries()) {
        const stackId = await fixture.createStack(stack);
        await fixture.db.deleteStack({ stackId, force: false, nowMs: NOW_MS + index });
      }
      expect(await fixture.db.listDeletedStacks(2)).toEqual(["s-c", "s-a"]);
    });
  });
}
