import { describe, expect, it } from "vitest";
import { Fixture, LEASE_MS, type MakeDatabase, NOW_MS, page, refOf, tokenOf } from "./support.ts";

const refused = (why: string) => ({ kind: "lease_refused", why });

export function describeLeases(make: MakeDatabase): void {
  describe("leases", () => {
    it("renews, late too, and counts it as a revision", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      const { revision } = await fixture.fold("u1");
      const expiresMs = NOW_MS + 3 * LEASE_MS;
      const nowMs = NOW_MS + 2 * LEASE_MS;
      const renewal = { ref, tokenHash: tokenOf("u1"), expiresMs, nowMs };
      expect(await fixture.db.renewLease(renewal)).toEqual({ kind: "renewed", expiresMs });
      expect(await fixture.db.findUpdate(ref)).toMatchObject({ leaseExpiresMs: expiresMs });
      const fold = await fixture.fold("u1");
      expect(fold.leaseExpiresMs).toBe(expiresMs);
      expect(fold.revision).toBeGreaterThan(revision);
    });

    it("refuses every step of a stranger, with the reason", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.createStack("other");
      const ref = await fixture.begin("u1");
      await fixture.begin("u2", { stack: "other" });
      const { db } = fixture;
      expect(await db.checkLease(ref, tokenOf("u1"))).toEqual({ kind: "held" });
      expect(await db.checkLease(ref, tokenOf("u2"))).toEqual(refused("wrong_token"));
      expect(await db.checkLease(refOf("u1", "other"), tokenOf("u1"))).toEqual(refused("unknown_update"));
      expect(await db.checkLease(refOf("none"), tokenOf("u1"))).toEqual(refused("unknown_update"));
      const notStarted = await fixture.createUpdate("u3");
      expect(await db.checkLease(notStarted, tokenOf("u3"))).toEqual(refused("wrong_token"));
      const renewal = { ref, tokenHash: "x", expiresMs: NOW_MS, nowMs: NOW_MS };
      expect(await db.renewLease(renewal)).toEqual(refused("wrong_token"));
      expect(await db.readFold("u1", "x")).toEqual(refused("wrong_token"));
      expect(await db.readFold("u1", tokenOf("u1"))).toMatchObject({ kind: "fold" });
      expect(await db.readFold("none", "x")).toEqual({ kind: "absent" });
    });

    it("refuses the token of an update that is over", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.run("u1", "k1");
      const over = refused("not_running");
      expect(await fixture.db.checkLease(ref, tokenOf("u1"))).toEqual(over);
      const renewal = { ref, tokenHash: tokenOf("u1"), expiresMs: NOW_MS, nowMs: NOW_MS };
      expect(await fixture.db.renewLease(renewal)).toEqual(over);
      expect(await fixture.append(ref, "d1")).toEqual(over);
    });

    it("lists the running ones by id, in pages", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.createStack("other");
      await fixture.begin("u3", { stack: "other" });
      await fixture.begin("u1");
      await fixture.begin("u2", { dryRun: true });
      await fixture.createUpdate("u0");
      const ids = async (limit: number, after: string | null) =>
        (await fixture.db.listActiveLeases(page(limit, after))).map((lease) => lease.update.id);
      expect(await ids(2, null)).toEqual(["u1", "u2"]);
      expect(await ids(2, "u2")).toEqual(["u3"]);
      const [first] = await fixture.db.listActiveLeases(page(1));
      expect(first).toMatchObject({ organization: "acme", project: "web", stack: "dev" });
    });
  });

  describe("cancelling", () => {
    it("ends the token at once and leaves the rest to the second half", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      const cancel = { ref, nowMs: NOW_MS + 1 };
      const { revision } = await fixture.fold("u1");
      const outcome = await fixture.db.requestCancel(cancel);
      expect(outcome).toEqual({ kind: "cancelling", stackId: "s-dev" });
      expect(await fixture.db.requestCancel(cancel)).toEqual({ kind: "already_cancelled" });
      expect(await fixture.db.checkLease(ref, tokenOf("u1"))).toEqual(refused("not_running"));
      expect(await fixture.events(ref, "e1", [0, 1])).toEqual(refused("not_running"));
      const fold = await fixture.fold("u1");
      expect(fold).toMatchObject({ cancelRequested: true, status: "running" });
      expect(fold.revision).toBeGreaterThan(revision);
      expect(await fixture.finish("u1", null)).toEqual(refused("not_running"));
      const ending = { tokenHash: null, status: "failed", ending: "cancelled" } as const;
      expect(await fixture.finish("u1", null, ending)).toEqual({ kind: "finished" });
      expect(await fixture.db.requestCancel(cancel)).toEqual({ kind: "already_cancelled" });
      expect(await fixture.stack()).toMatchObject({ currentOperation: null, activeUpdateId: "u1" });
    });

    it("discards what never started", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.createUpdate("u1");
      const cancel = { ref, nowMs: NOW_MS };
      expect(await fixture.db.requestCancel(cancel)).toEqual({ kind: "discarded" });
      expect(await fixture.db.requestCancel(cancel)).toEqual({ kind: "already_cancelled" });
      expect(await fixture.db.findUpdate(ref)).toMatchObject({ status: "discarded", endedMs: NOW_MS });
    });

    it("comes too late for what ended by itself or whose lease ended, and knows no strangers", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.run("u1", "k1");
      expect(await fixture.db.requestCancel({ ref, nowMs: 1 })).toEqual({ kind: "already_completed" });
      const expired = await fixture.begin("u2");
      await fixture.finish("u2", null, { tokenHash: null, status: "failed", ending: "expired" });
      const late = await fixture.db.requestCancel({ ref: expired, nowMs: 1 });
      expect(late).toEqual({ kind: "already_completed" });
      expect(await fixture.db.requestCancel({ ref: refOf("none"), nowMs: 1 })).toEqual({ kind: "absent" });
    });
  });
}
