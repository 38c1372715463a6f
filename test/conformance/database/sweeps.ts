import { describe, expect, it } from "vitest";
import { checkpoint, document, Fixture, LEASE_MS, type MakeDatabase, NOW_MS } from "./support.ts";

export function describeSweeps(make: MakeDatabase): void {
  describe("expired leases", () => {
    it("lists what ended before the moment or is being cancelled, oldest first", async () => {
      const fixture = await Fixture.withStack(make);
      for (const stack of ["a", "b", "c"]) await fixture.createStack(stack);
      await fixture.begin("u2", { stack: "a", nowMs: NOW_MS + 20 });
      await fixture.begin("u1", { stack: "b", nowMs: NOW_MS + 10 });
      await fixture.begin("p1", { stack: "b", dryRun: true, nowMs: NOW_MS + 15 });
      const fresh = await fixture.begin("u3", { stack: "c", nowMs: NOW_MS + 500 });
      const list = async (beforeMs: number, limit = 9) =>
        (await fixture.db.listExpiredLeases(beforeMs, limit)).map((lease) => lease.updateId);
      const endMs = NOW_MS + LEASE_MS;
      expect(await list(endMs + 10)).toEqual([]);
      expect(await list(endMs + 11)).toEqual(["u1"]);
      expect(await list(endMs + 100)).toEqual(["u1", "p1", "u2"]);
      expect(await list(endMs + 100, 2)).toEqual(["u1", "p1"]);
      expect((await fixture.db.listExpiredLeases(endMs + 16, 9)).at(1)?.dryRun).toBe(true);
      await fixture.db.requestCancel({ ref: fresh, nowMs: NOW_MS + 600 });
      expect(await list(NOW_MS)).toEqual(["u3"]);
      const ending = { tokenHash: null, status: "failed", ending: "cancelled" } as const;
      await fixture.finish("u3", null, ending);
      expect(await list(NOW_MS)).toEqual([]);
    });
  });

  describe("updates that never started", () => {
    it("discards the stale, then removes them, in batches", async () => {
      const fixture = await Fixture.withStack(make);
      const { db } = fixture;
      for (const [index, id] of ["u0", "u1", "u2"].entries())
        await fixture.createUpdate(id, { nowMs: NOW_MS + index, dryRun: index === 1 });
      await fixture.begin("u9", { nowMs: NOW_MS - 5 });
      const discard = (limit: number, dryRun: boolean) =>
        db.discardStaleUpdates({ createdBeforeMs: NOW_MS + 2, limit, nowMs: NOW_MS + 50, dryRun });
      expect(await discard(9, true)).toBe(2);
      expect(await discard(1, false)).toBe(1);
      expect(await db.findUpdateById("u0")).toMatchObject({ status: "discarded", endedMs: NOW_MS + 50 });
      expect(await discard(9, false)).toBe(1);
      expect(await discard(9, false)).toBe(0);
      const remove = (endedBeforeMs: number, limit: number, dryRun: boolean) =>
        db.removeDiscardedUpdates({ endedBeforeMs, limit, dryRun });
      expect(await remove(NOW_MS + 50, 9, false)).toBe(0);
      expect(await remove(NOW_MS + 51, 9, true)).toBe(2);
      expect(await remove(NOW_MS + 51, 1, false)).toBe(1);
      expect(await remove(NOW_MS + 51, 9, false)).toBe(1);
      expect(await db.findUpdateById("u0")).toBeNull();
      expect(await db.findUpdateById("u2")).not.toBeNull();
    });
  });

  describe("unnamed blobs", () => {
    it("are those that neither a state version nor a checkpoint names", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      const ref = await fixture.begin("u1");
      await fixture.save(ref, checkpoint("c1", null));
      const unnamed = () => fixture.db.findUnnamedBlobs(["k0", "c1", "k1", "none"]);
      expect(await unnamed()).toEqual(["k1", "none"]);
      await fixture.finish("u1", document("k1"));
      expect(await unnamed()).toEqual(["c1", "none"]);
      expect(await fixture.db.findUnnamedBlobs([])).toEqual([]);
      await fixture.db.deleteStack({ stackId: "s-dev", force: true, nowMs: NOW_MS });
      expect(await unnamed()).toEqual(["c1", "none"]);
      await fixture.db.purgeDeletedStack("s-dev", 100);
      expect(await unnamed()).toEqual(["k0", "c1", "k1", "none"]);
    });
  });

  describe("the next deadline", () => {
    const wait = { leaseGraceMs: 30_000, notStartedMs: 86_400_000, removeMs: 3_600_000 };

    it("is none where nothing is pending", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      await fixture.run("u1", "k1");
      expect(await fixture.db.nextDeadlineMs(wait)).toBeNull();
    });

    it("is when the lease sweep finds its first update, and not before", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.begin("u1");
      const atMs = (await fixture.db.nextDeadlineMs(wait)) ?? 0;
      expect(await fixture.db.listExpiredLeases(atMs - 1 - wait.leaseGraceMs, 9)).toEqual([]);
      expect(await fixture.db.listExpiredLeases(atMs - wait.leaseGraceMs, 9)).toHaveLength(1);
    });

    it("is at once for a cancel that was begun", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      await fixture.db.requestCancel({ ref, nowMs: NOW_MS + 4 });
      expect(await fixture.db.nextDeadlineMs(wait)).toBeLessThanOrEqual(NOW_MS + 4);
    });

    it("is when the first update goes stale, and then when it may go", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.createUpdate("u1");
      const staleMs = (await fixture.db.nextDeadlineMs(wait)) ?? 0;
      const discard = (nowMs: number) => {
        const createdBeforeMs = nowMs - wait.notStartedMs;
        return fixture.db.discardStaleUpdates({ createdBeforeMs, limit: 9, nowMs, dryRun: false });
      };
      expect(await discard(staleMs - 1)).toBe(0);
      expect(await discard(staleMs)).toBe(1);
      const goneMs = (await fixture.db.nextDeadlineMs(wait)) ?? 0;
      const remove = (nowMs: number) =>
        fixture.db.removeDiscardedUpdates({ endedBeforeMs: nowMs - wait.removeMs, limit: 9, dryRun: false });
      expect(await remove(goneMs - 1)).toBe(0);
      expect(await remove(goneMs)).toBe(1);
      expect(await fixture.db.nextDeadlineMs(wait)).toBeNull();
    });

    it("is when the first token may go, expired or revoked", async () => {
      const fixture = await Fixture.make(make);
      const { db } = fixture;
      const token = { name: "", kind: "machine", login: null, organization: "acme", role: "admin" } as const;
      const create = (id: string, expiresMs: number | null) =>
        db.createToken({ id, tokenHash: id, ...token, createdBy: "a", expiresMs, nowMs: NOW_MS });
      await create("t1", NOW_MS + 900);
      await create("t2", null);
      const remove = (nowMs: number) =>
        db.removeEndedTokens({ endedBeforeMs: nowMs - wait.removeMs, limit: 9, dryRun: false });
      const expiredMs = (await db.nextDeadlineMs(wait)) ?? 0;
      await db.revokeToken({ id: "t2", nowMs: NOW_MS + 5 });
      const revokedMs = (await db.nextDeadlineMs(wait)) ?? 0;
      expect(revokedMs).toBeLessThan(expiredMs);
      expect(await remove(revokedMs - 1)).toBe(0);
      expect(await remove(revokedMs)).toBe(1);
      expect(await remove(expiredMs - 1)).toBe(0);
      expect(await remove(expiredMs)).toBe(1);
    });

    it("is at once for a deleted stack, until it is purged", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.db.deleteStack({ stackId: "s-dev", force: false, nowMs: NOW_MS });
      expect(await fixture.db.nextDeadlineMs(wait)).toBeLessThanOrEqual(NOW_MS);
      await fixture.db.purgeDeletedStack("s-dev", 100);
      expect(await fixture.db.nextDeadlineMs(wait)).toBeNull();
    });

    it("is the earliest of all", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.createUpdate("u1");
      const later = (await fixture.db.nextDeadlineMs(wait)) ?? 0;
      await fixture.begin("u2");
      expect(await fixture.db.nextDeadlineMs(wait)).toBeLessThan(later);
    });
  });
}
