import { describe, expect, it } from "vitest";
import { document, Fixture, type MakeDatabase, NOW_MS, times } from "./support.ts";

export function describeHistory(make: MakeDatabase): void {
  describe("history", () => {
    it("lists the started real updates, newest first, in numbered pages", async () => {
      const fixture = await Fixture.withStack(make);
      for (const id of ["u1", "u2", "u3"]) await fixture.run(id, `k-${id}`);
      await fixture.begin("u4");
      await fixture.begin("p1", { dryRun: true });
      await fixture.createUpdate("u5");
      const ids = async (page: number, pageSize: number) =>
        (await fixture.db.listHistory("s-dev", { page, pageSize })).map((update) => update.id);
      expect(await ids(1, 9)).toEqual(["u4", "u3", "u2", "u1"]);
      expect(await ids(1, 3)).toEqual(["u4", "u3", "u2"]);
      expect(await ids(2, 3)).toEqual(["u1"]);
      expect(await ids(3, 3)).toEqual([]);
      const [newest, before] = await fixture.db.listHistory("s-dev", { page: 1, pageSize: 9 });
      expect(newest).toMatchObject({ status: "running", version: 4 });
      expect(before).toMatchObject({ status: "succeeded", version: 3, resourceCount: 2 });
      expect(await fixture.db.listHistory("none", { page: 1, pageSize: 9 })).toEqual([]);
    });

    it("lists the started dry runs, newest first", async () => {
      const fixture = await Fixture.withStack(make);
      await times(3, (i) => fixture.begin(`p${i}`, { dryRun: true, nowMs: NOW_MS + i }));
      await fixture.begin("u1");
      await fixture.createUpdate("p9", { dryRun: true, nowMs: NOW_MS + 9 });
      const ids = async (page: number, pageSize: number) =>
        (await fixture.db.listPreviews("s-dev", { page, pageSize })).map((update) => update.id);
      expect(await ids(1, 2)).toEqual(["p2", "p1"]);
      expect(await ids(2, 2)).toEqual(["p0"]);
    });

    it("finds the real update of a version", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.run("u1", "k1");
      const preview = await fixture.begin("p1", { dryRun: true });
      expect((await fixture.db.findUpdate(preview))?.version).toBe(1);
      expect((await fixture.db.findUpdateByVersion("s-dev", 1))?.id).toBe("u1");
      expect(await fixture.db.findUpdateByVersion("s-dev", 2)).toBeNull();
    });

    it("survives the removal of the states it tells of", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      await fixture.run("u1", "k1");
      await fixture.run("u2", "k2");
      const sweep = { createdBeforeMs: null, keepVersions: 1, limit: 9, dryRun: false };
      await fixture.db.removeOldVersions(sweep);
      expect(await fixture.db.findState("s-dev", 1)).toBeNull();
      expect((await fixture.db.findUpdateByVersion("s-dev", 1))?.id).toBe("u1");
    });
  });
}
