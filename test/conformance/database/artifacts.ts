import { describe, expect, it } from "vitest";
import {
  type ArtifactLimits,
  type Database,
  type NewArtifact,
  UNLIMITED,
} from "../../../db-adapters/contract.ts";
import { Fixture, type MakeDatabase, NOW_MS, ORG, page, tally, times } from "./support.ts";

const DAY_MS = 86_400_000;
const NO_KEEP = { filesMax: null, bytesMax: null };

function artifact(id: string, changes: Partial<NewArtifact> = {}): NewArtifact {
  return {
    ...{ id, name: "a", kind: "other", contentType: "text/plain", sizeBytes: 10, sha256: `sha ${id}` },
    ...{ blobKey: `artifacts/${id}`, isSealed: true, labels: {}, isPinned: false, actor: "alice" },
    ...{ stackId: "s-dev", updateId: null, commit: null },
    ...changes,
  };
}

async function withArtifacts(make: MakeDatabase) {
  const fixture = await Fixture.withStack(make);
  const { db } = fixture;
  const create = (
    artifacts: readonly NewArtifact[],
    more: { quotaBytes?: number; pendingUntilMs?: number; nowMs?: number } = {},
  ) =>
    db.createArtifacts({
      organization: ORG,
      artifacts,
      quotaBytes: null,
      pendingUntilMs: null,
      nowMs: NOW_MS,
      ...more,
    });
  const ids = async (
    filter: Parameters<Database["listArtifacts"]>[1] = {},
    limit = 99,
    after: string | null = null,
  ) => (await db.listArtifacts(ORG, filter, page(limit, after))).map((it) => it.id);
  const usage = (stackId: string | null = null) => db.findArtifactUsage(ORG, stackId);
  return { fixture, db, create, ids, usage };
}

export function describeArtifacts(make: MakeDatabase): void {
  describe("artifacts", () => {
    it("come back as they were given, with names and a version", async () => {
      const { db, create } = await withArtifacts(make);
      const given = artifact("a1", { labels: { x: "y" }, commit: "abc", isPinned: true });
      expect(await create([given, artifact("a2", { commit: "abc" })])).toEqual({
        kind: "created",
        versions: [1, 2],
      });
      const found = await db.findArtifact(ORG, "a1");
      expect(found).toMatchObject({ ...given, organization: ORG, project: "web", stack: "dev", version: 1 });
      expect(found).toMatchObject({ organizationId: "o-acme", createdMs: NOW_MS, pendingUntilMs: null });
      expect(await db.findArtifact("other", "a1")).toBeNull();
    });

    it("are refused whole where one can't be bound or the quota is full", async () => {
      const { fixture, create, ids, usage } = await withArtifacts(make);
      await fixture.createStack("other");
      await fixture.createUpdate("u1");
      const bad = async (changes: Partial<NewArtifact>) =>
        (await create([artifact("a1"), artifact("a2", changes)])).kind;
      expect(await bad({ stackId: "none" })).toBe("no_stack");
      expect(await bad({ updateId: "none" })).toBe("no_update");
      expect(await bad({ updateId: "u1", stackId: "s-other" })).toBe("no_update");
      expect(await create([artifact("a1"), artifact("a2")], { quotaBytes: 19 })).toEqual({
        kind: "over_quota",
        usedBytes: 0,
        quotaBytes: 19,
      });
      expect([await ids(), await usage()]).toEqual([[], { files: 0, bytes: 0 }]);
      expect((await create([artifact("a1", { updateId: "u1" })], { quotaBytes: 10 })).kind).toBe("created");
    });

    it("of one name at once get a version each, and never exceed the quota", async () => {
      const { create, db, usage } = await withArtifacts(make);
      const outcomes = await times(20, (i) => create([artifact(`a${i + 10}`)], { quotaBytes: 125 }));
      expect(tally(outcomes)).toEqual({ created: 12, over_quota: 8 });
      const versions = (await db.listArtifacts(ORG, {}, page(99))).map((it) => it.version);
      expect(versions.sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
      expect(await usage()).toEqual({ files: 12, bytes: 120 });
      expect(await usage("s-dev")).toEqual({ files: 12, bytes: 120 });
      expect(await db.statistics()).toMatchObject({ artifacts: 12, artifactBytes: 120 });
    });

    it("are listed newest first by every filter, in pages", async () => {
      const { fixture, create, ids } = await withArtifacts(make);
      await fixture.createStack("other", { project: "api" });
      await fixture.createUpdate("u1");
      await create([
        artifact("a1"),
        artifact("a2", { updateId: "u1", commit: "abc", name: "b" }),
        artifact("a3", { stackId: "s-other", sha256: "x" }),
        artifact("a4", { stackId: null, commit: "abc" }),
      ]);
      expect(await ids()).toEqual(["a4", "a3", "a2", "a1"]);
      expect(await ids({ project: "web" })).toEqual(["a2", "a1"]);
      expect(await ids({ project: "api", stack: "other" })).toEqual(["a3"]);
      expect(await ids({ project: "api", stack: "dev" })).toEqual([]);
      expect(await ids({ stackId: "s-dev", project: "api" })).toEqual([]);
      expect(await ids({ updateId: "u1" })).toEqual(["a2"]);
      expect(await ids({ commit: "abc" })).toEqual(["a4", "a2"]);
      expect(await ids({ name: "b" })).toEqual(["a2"]);
      expect(await ids({ sha256: "x" })).toEqual(["a3"]);
      expect(await ids({}, 2)).toEqual(["a4", "a3"]);
      expect(await ids({}, 2, "a3")).toEqual(["a2", "a1"]);
    });

    it("show once a granted upload is confirmed, and go when none comes", async () => {
      const { db, create, ids, usage } = await withArtifacts(make);
      await create([artifact("a1"), artifact("a2")], { pendingUntilMs: NOW_MS + 100 });
      expect([await ids(), await usage()]).toEqual([[], { files: 2, bytes: 20 }]);
      const wait = { leaseGraceMs: 0, notStartedMs: 1, removeMs: 1 };
      expect(await db.nextDeadlineMs(wait)).toBe(NOW_MS + 101);
      const confirm = (id: string) => db.confirmArtifact({ organization: ORG, id, isSealed: false });
      expect([await confirm("a1"), await confirm("a1"), await confirm("none")]).toEqual([
        "confirmed",
        "confirmed",
        "absent",
      ]);
      expect(await ids()).toEqual(["a1"]);
      const remove = (beforeMs: number, dryRun = false) =>
        db.removePendingArtifacts({ beforeMs, limit: 9, dryRun });
      expect(await remove(NOW_MS + 100)).toEqual([]);
      expect(await remove(NOW_MS + 101, true)).toEqual(["artifacts/a2"]);
      expect(await remove(NOW_MS + 101)).toEqual(["artifacts/a2"]);
      expect(await confirm("a2")).toBe("absent");
      expect(await db.findUnnamedBlobs(["artifacts/a1", "artifacts/a2"])).toEqual(["artifacts/a2"]);
    });

    it("can be labelled, pinned and deleted", async () => {
      const { db, create, usage } = await withArtifacts(make);
      await create([artifact("a1", { labels: { a: "b" } })]);
      const at = { organization: ORG, id: "a1" };
      expect(await db.changeArtifact({ ...at, isPinned: true })).toBe("changed");
      expect(await db.findArtifact(ORG, "a1")).toMatchObject({ isPinned: true, labels: { a: "b" } });
      expect(await db.deleteArtifact(at)).toEqual({ kind: "pinned" });
      expect(await db.changeArtifact({ ...at, isPinned: false, labels: {} })).toBe("changed");
      expect(await db.changeArtifact({ ...at, organization: "other", isPinned: true })).toBe("absent");
      expect(await db.deleteArtifact({ ...at, organization: "other" })).toEqual({ kind: "absent" });
      expect(await db.deleteArtifact(at)).toEqual({ kind: "deleted", blobKey: "artifacts/a1" });
      expect(await db.deleteArtifact(at)).toEqual({ kind: "absent" });
      expect(await usage()).toEqual({ files: 0, bytes: 0 });
    });

    it("go by age, count and size, pinned ones never", async () => {
      const { db, create, ids } = await withArtifacts(make);
      for (const i of [1, 2, 3, 4, 5])
        await create([artifact(`a${i}`, { isPinned: i === 1, sizeBytes: i * 10 })], { nowMs: NOW_MS + i });
      const remove = (rules: Partial<Parameters<Database["removeOldArtifacts"]>[0]>) =>
        db.removeOldArtifacts({
          ...{
            nowMs: NOW_MS,
            ageDays: null,
            perStack: NO_KEEP,
            perOrganization: NO_KEEP,
            limit: 9,
            dryRun: false,
          },
          ...rules,
        });
      expect(await remove({})).toEqual([]);
      const aged = { nowMs: NOW_MS + 3 + 2 * DAY_MS, ageDays: 2 };
      expect(await remove({ ...aged, dryRun: true })).toEqual(["artifacts/a2"]);
      expect(await remove(aged)).toEqual(["artifacts/a2"]);
      expect(await remove({ perStack: { filesMax: 2, bytesMax: null } })).toEqual(["artifacts/a3"]);
      expect(await remove({ perStack: { filesMax: 2, bytesMax: null } })).toEqual([]);
      expect(await remove({ perOrganization: { filesMax: null, bytesMax: 50 } })).toEqual(["artifacts/a4"]);
      await db.changeArtifact({ organization: ORG, id: "a5", isPinned: true });
      expect(await remove({ perOrganization: { filesMax: 0, bytesMax: 0 } })).toEqual([]);
      expect(await ids()).toEqual(["a5", "a1"]);
    });

    it("go by what their stack or their organization has set, before what is set for all", async () => {
      const { fixture, db, create, ids } = await withArtifacts(make);
      await fixture.createStack("other");
      const unset = { ageDays: null, filesMax: null, bytesMax: null, quotaBytes: null };
      const set = (stackId: string | null, limits: Partial<ArtifactLimits>) =>
        db.setArtifactLimits({ organization: ORG, stackId, limits: { ...unset, ...limits } });
      const remove = async (rules: Partial<Parameters<Database["removeOldArtifacts"]>[0]>) =>
        (
          await db.removeOldArtifacts({
            ...{ nowMs: NOW_MS, ageDays: null, perStack: NO_KEEP, perOrganization: NO_KEEP },
            ...{ limit: 9, dryRun: true, ...rules },
          })
        ).sort();
      expect(await db.hasArtifactLimits()).toBe(false);
      expect([await set("none", {}), await set("s-dev", { ageDays: 3 })]).toEqual(["no_stack", "set"]);
      expect(await db.findArtifactLimits(ORG, "s-dev")).toEqual({
        ofOrganization: unset,
        ofStack: { ...unset, ageDays: 3 },
      });
      expect(await db.findArtifactLimits("other", null)).toMatchObject({ ofOrganization: unset });
      expect(await db.hasArtifactLimits()).toBe(true);
      for (const i of [1, 2, 3])
        await create([artifact(`d${i}`), artifact(`o${i}`, { stackId: "s-other" })], { nowMs: NOW_MS + i });
      await create([artifact("c1", { stackId: null, commit: "abc" })]);

      const at = (days: number, ageDays: number | null) =>
        remove({ nowMs: NOW_MS + 100 + days * DAY_MS, ageDays });
      expect(await at(2, null)).toEqual([]);
      expect(await at(3, null)).toEqual(["artifacts/d1", "artifacts/d2", "artifacts/d3"]);
      expect(await at(1, 1)).toEqual(["artifacts/c1", "artifacts/o1", "artifacts/o2", "artifacts/o3"]);
      await set(null, { ageDays: 2 });
      expect(await at(2, 9)).toEqual(["artifacts/c1", "artifacts/o1", "artifacts/o2", "artifacts/o3"]);
      await set(null, { ageDays: UNLIMITED });
      expect(await at(99, 9)).toEqual(["artifacts/d1", "artifacts/d2", "artifacts/d3"]);

      const perStack = { filesMax: 2, bytesMax: null };
      expect(await remove({ perStack })).toEqual(["artifacts/d1", "artifacts/o1"]);
      await set("s-dev", { filesMax: UNLIMITED });
      expect(await remove({ perStack })).toEqual(["artifacts/o1"]);
      await set("s-dev", { bytesMax: 10 });
      expect(await remove({})).toEqual(["artifacts/d1", "artifacts/d2"]);
      expect(await remove({ perStack })).toEqual(["artifacts/d1", "artifacts/d2", "artifacts/o1"]);
      await set("s-dev", {});
      await set(null, { filesMax: 5 });
      expect(await remove({ perOrganization: { filesMax: 1, bytesMax: null } })).toHaveLength(2);

      await set(null, { quotaBytes: 75 });
      const more = (id: string, quotaBytes: number) => create([artifact(id)], { quotaBytes });
      expect(await more("x", 1000)).toEqual({ kind: "over_quota", usedBytes: 70, quotaBytes: 75 });
      await set(null, { quotaBytes: UNLIMITED });
      expect((await more("x", 1)).kind).toBe("created");
      await set(null, {});
      expect([await db.hasArtifactLimits(), (await ids()).length]).toEqual([false, 8]);
    });

    it("lose their stack's limits with it", async () => {
      const { db } = await withArtifacts(make);
      const limits = { ageDays: 1, filesMax: null, bytesMax: null, quotaBytes: null };
      await db.setArtifactLimits({ organization: ORG, stackId: "s-dev", limits });
      await db.deleteStack({ stackId: "s-dev", force: true, nowMs: NOW_MS });
      for (let i = 0; i < 20 && !(await db.purgeDeletedStack("s-dev", 1)).done; i++);
      expect(await db.hasArtifactLimits()).toBe(false);
    });

    it("go with their update, their stack and their organization, except pinned ones", async () => {
      const { fixture, db, create, ids, usage } = await withArtifacts(make);
      await fixture.createUpdate("u1");
      await create([artifact("a1", { updateId: "u1" }), artifact("a2", { updateId: "u1", isPinned: true })]);
      await create([artifact("a3"), artifact("a4", { isPinned: true })]);
      await db.discardStaleUpdates({ createdBeforeMs: NOW_MS + 1, limit: 9, nowMs: NOW_MS, dryRun: false });
      await db.removeDiscardedUpdates({ endedBeforeMs: NOW_MS + 1, limit: 9, dryRun: false });
      expect(await ids()).toEqual(["a4", "a3", "a2"]);
      await db.deleteStack({ stackId: "s-dev", force: true, nowMs: NOW_MS });
      for (let i = 0; i < 20 && !(await db.purgeDeletedStack("s-dev", 1)).done; i++);
      expect(await ids()).toEqual(["a4", "a2"]);
      expect(await db.findArtifact(ORG, "a4")).toMatchObject({ stackId: "s-dev", stack: null });
      expect(await usage()).toEqual({ files: 2, bytes: 20 });
      expect(await db.deleteOrganization({ name: ORG, nowMs: NOW_MS })).toBe("deleted");
      expect(await db.findUnnamedBlobs(["artifacts/a2", "artifacts/a4"])).toHaveLength(2);
      expect(await db.statistics()).toMatchObject({ artifacts: 0, artifactBytes: 0 });
    });

    it("limit a machine token to a stack", async () => {
      const { db } = await withArtifacts(make);
      await db.createToken({
        ...{ id: "t1", tokenHash: "h1", name: "ci", kind: "machine", login: null, organization: ORG },
        ...{ role: "member", stackId: "s-dev", createdBy: "a", expiresMs: null, nowMs: NOW_MS },
      });
      expect(await db.findIdentity("h1", NOW_MS)).toMatchObject({ stackId: "s-dev" });
      expect((await db.listTokens({}, page(9)))[0]).toMatchObject({ stackId: "s-dev" });
    });
  });
}
