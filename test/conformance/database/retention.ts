import { describe, expect, it } from "vitest";
import { document, Fixture, type MakeDatabase, NOW_MS, times } from "./support.ts";

type Sweep = { createdBeforeMs?: number; keepVersions?: number; limit?: number; dryRun?: boolean };

/** Versions 0 to 4 of one stack, a millisecond apart; `marked` ones failed verification. */
async function withVersions(make: MakeDatabase, marked: readonly number[] = []) {
  const problems = (version: number) => (marked.includes(version) ? "[{}]" : null);
  const fixture = await Fixture.withStack(make, document("k0", { problems: problems(0) }));
  for (const version of [1, 2, 3, 4]) {
    const nowMs = NOW_MS + version;
    await fixture.begin(`u${version}`, { nowMs });
    await fixture.finish(`u${version}`, document(`k${version}`, { problems: problems(version) }), { nowMs });
  }
  const remove = (sweep: Sweep) =>
    fixture.db.removeOldVersions({
      createdBeforeMs: sweep.createdBeforeMs ?? null,
      keepVersions: sweep.keepVersions ?? null,
      limit: sweep.limit ?? 100,
      dryRun: sweep.dryRun ?? false,
    });
  const kept = async () => {
    const states = await times(6, (version) => fixture.db.findState("s-dev", version));
    return states.flatMap((state) => (state === null ? [] : [state.version]));
  };
  return { fixture, remove, kept };
}

export function describeRetention(make: MakeDatabase): void {
  describe("old state versions", () => {
    it("go by age, the current one never", async () => {
      const { remove, kept } = await withVersions(make);
      expect(await remove({ createdBeforeMs: NOW_MS + 2 })).toBe(2);
      expect(await kept()).toEqual([2, 3, 4]);
      expect(await remove({ createdBeforeMs: NOW_MS + 999 })).toBe(2);
      expect(await kept()).toEqual([4]);
    });

    it("go by number, the newest stay", async () => {
      const { remove, kept } = await withVersions(make);
      expect(await remove({ keepVersions: 9 })).toBe(0);
      expect(await remove({ keepVersions: 3 })).toBe(2);
      expect(await kept()).toEqual([2, 3, 4]);
      expect(await remove({ keepVersions: 3 })).toBe(0);
      expect(await remove({ keepVersions: 1 })).toBe(2);
      expect(await kept()).toEqual([4]);
    });

    it("go when either rule says so, and stay without a rule", async () => {
      const { remove, kept } = await withVersions(make);
      expect(await remove({})).toBe(0);
      expect(await remove({ createdBeforeMs: NOW_MS + 1, keepVersions: 3 })).toBe(2);
      expect(await kept()).toEqual([2, 3, 4]);
    });

    it("never include the last good one", async () => {
      const { fixture, remove, kept } = await withVersions(make, [2, 3, 4]);
      expect((await fixture.stack()).goodVersion).toBe(1);
      await remove({ createdBeforeMs: NOW_MS + 999, keepVersions: 1 });
      expect(await kept()).toEqual([1, 4]);
    });

    it("never include the base that a running update was started from", async () => {
      const { fixture, remove, kept } = await withVersions(make);
      await fixture.begin("p1", { dryRun: true });
      await fixture.run("u5", "k5");
      await remove({ createdBeforeMs: NOW_MS + 999, keepVersions: 1 });
      expect(await kept()).toEqual([4, 5]);
      expect((await fixture.fold("p1")).base).toMatchObject({ version: 4, blobKey: "k4" });
      await fixture.finish("p1", null);
      expect(await remove({ keepVersions: 1 })).toBe(1);
      expect(await kept()).toEqual([5]);
    });

    it("are counted first when asked, and go in batches", async () => {
      const { fixture, remove, kept } = await withVersions(make);
      expect(await remove({ keepVersions: 1, dryRun: true })).toBe(4);
      expect(await kept()).toHaveLength(5);
      expect(await remove({ keepVersions: 1, createdBeforeMs: NOW_MS + 999, limit: 3 })).toBe(3);
      expect(await remove({ keepVersions: 1, createdBeforeMs: NOW_MS + 999, limit: 3 })).toBe(1);
      expect((await fixture.db.statistics()).stateVersions).toBe(1);
      const unnamed = await fixture.db.findUnnamedBlobs(["k0", "k1", "k2", "k3", "k4"]);
      expect(unnamed).toEqual(["k0", "k1", "k2", "k3"]);
    });
  });
}
