import { describe, expect, it } from "vitest";
import {
  bytes,
  document,
  Fixture,
  LEASE_MS,
  type MakeDatabase,
  NOW_MS,
  nameOf,
  ORG,
  refOf,
  tally,
  times,
  tokenOf,
} from "./support.ts";

export function describeUpdates(make: MakeDatabase): void {
  describe("creating updates", () => {
    it("stores what was sent, and finds it under its own stack alone", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.createStack("other");
      const ref = await fixture.createUpdate("u1", { kind: "destroy" });
      const expected = {
        ...{ id: "u1", stackId: "s-dev", kind: "destroy", dryRun: false, status: "not started" },
        ...{ ending: null, version: null, actor: "alice", createdMs: NOW_MS, startedMs: null },
        ...{ endedMs: null, metadata: '{"message":"u1","environment":{}}' },
        ...{ resourceChanges: null, resourceCount: null, journalVersion: 0, leaseExpiresMs: null },
      };
      const { config, ...rest } = (await fixture.db.findUpdate(ref)) ?? { config: null };
      expect(rest).toEqual(expected);
      expect(Buffer.from(config ?? [])).toEqual(Buffer.from(bytes("config of u1")));
      expect(await fixture.db.findUpdateById("u1")).toMatchObject({ ...expected, ...nameOf("dev") });
      expect(await fixture.db.findUpdateScope(ref)).toEqual({ stackId: "s-dev", dryRun: false });
      const elsewhere = refOf("u1", "other");
      expect(await fixture.db.findUpdate(elsewhere)).toBeNull();
      expect(await fixture.db.findUpdateScope(elsewhere)).toBeNull();
      expect(await fixture.start(elsewhere)).toEqual({ kind: "absent" });
    });

    it("takes no lock and needs a stack", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.begin("u1");
      const input = { kind: "update", dryRun: false, actor: "a", config: null, metadata: "{}" } as const;
      const create = (id: string, stackId: string) =>
        fixture.db.createUpdate({ id, stackId, ...input, nowMs: NOW_MS });
      expect(await create("u2", "s-dev")).toBe("created");
      expect((await fixture.db.findUpdateById("u2"))?.config).toBeNull();
      expect(await create("u3", "none")).toBe("absent");
    });
  });

  describe("starting updates", () => {
    it("gives a real update the next version, the stack and the tags", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      const ref = await fixture.createUpdate("u1");
      const started = await fixture.start(ref, { nowMs: NOW_MS + 1, tags: { a: "b" } });
      expect(started).toEqual({ kind: "started", version: 1, journalVersion: 1 });
      expect(await fixture.stack()).toMatchObject({
        ...{ version: 1, stateVersion: 0, activeUpdateId: "u1", tags: { a: "b" } },
        currentOperation: { updateId: "u1", kind: "update", author: "alice", startedMs: NOW_MS + 1 },
      });
      expect(await fixture.db.findUpdate(ref)).toMatchObject({
        ...{ status: "running", version: 1, startedMs: NOW_MS + 1, journalVersion: 1 },
        leaseExpiresMs: NOW_MS + 1 + LEASE_MS,
      });
      const base = { blobKey: "k0", version: 0 };
      expect(await fixture.fold("u1")).toMatchObject({ base, cliVersion: "v3.200.0", dryRun: false });
    });

    it("keeps the tags when none are sent", async () => {
      const fixture = await Fixture.make(make);
      await fixture.createStack("dev", { tags: { a: "b" } });
      await fixture.start(await fixture.createUpdate("u1"));
      expect((await fixture.stack()).tags).toEqual({ a: "b" });
    });

    it("lists the stack by the tags that it was started with, and no longer by those before", async () => {
      const fixture = await Fixture.make(make);
      await fixture.createStack("dev", { tags: { same: "1", changed: "1", gone: "1" } });
      await fixture.start(await fixture.createUpdate("u1"), {
        tags: { same: "1", changed: "2", added: "1" },
      });
      const found = async (tagName: string, tagValue?: string) => {
        const filter = { organizations: [ORG], tagName, ...(tagValue === undefined ? {} : { tagValue }) };
        return (await fixture.db.listStacks(filter, { after: null, limit: 9 })).length;
      };
      expect([await found("same", "1"), await found("changed", "2"), await found("added")]).toEqual([
        1, 1, 1,
      ]);
      expect([await found("changed", "1"), await found("gone")]).toEqual([0, 0]);
    });

    it("runs dry runs beside everything, without a trace on the stack", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.run("u1", "k1");
      const before = await fixture.stack();
      await fixture.begin("u2");
      const during = await fixture.stack();
      for (const id of ["p1", "p2"]) {
        const ref = await fixture.createUpdate(id, { dryRun: true });
        const started = await fixture.start(ref, { tags: { x: "y" } });
        expect(started).toEqual({ kind: "started", version: 2, journalVersion: 1 });
      }
      expect(await fixture.stack()).toEqual(during);
      expect(before.version).toBe(1);
    });

    it("names the holder to a second real update", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.begin("u1", { kind: "refresh" });
      const ref = await fixture.createUpdate("u2");
      expect(await fixture.start(ref, { nowMs: NOW_MS + LEASE_MS - 1 })).toEqual({
        kind: "conflict",
        holder: { updateId: "u1", kind: "refresh", author: "alice", startedMs: NOW_MS },
      });
      const over = await fixture.start(ref, { nowMs: NOW_MS + LEASE_MS });
      expect(over).toEqual({ kind: "holder_expired", updateId: "u1" });
      expect((await fixture.stack()).activeUpdateId).toBe("u1");
      await fixture.finish("u1", null, { tokenHash: null, status: "failed", ending: "expired" });
      expect(await fixture.start(ref)).toMatchObject({ kind: "started", version: 2 });
    });

    it("passes on a holder that is being cancelled", async () => {
      const fixture = await Fixture.withStack(make);
      const first = await fixture.begin("u1");
      await fixture.db.requestCancel({ ref: first, nowMs: NOW_MS });
      const outcome = await fixture.start(await fixture.createUpdate("u2"));
      expect(outcome).toEqual({ kind: "holder_expired", updateId: "u1" });
      expect(await fixture.start(first)).toEqual({ kind: "finished" });
    });

    it("grants a running update a fresh token and the same version", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      const { revision } = await fixture.fold("u1");
      const again = await fixture.start(ref, { token: "fresh", nowMs: NOW_MS + 5 });
      expect(again).toEqual({ kind: "started", version: 1, journalVersion: 1 });
      expect(await fixture.db.checkLease(ref, "fresh")).toEqual({ kind: "held" });
      expect(await fixture.db.checkLease(ref, tokenOf("u1"))).toMatchObject({ why: "wrong_token" });
      expect((await fixture.fold("u1")).revision).toBeGreaterThan(revision);
      expect((await fixture.stack()).version).toBe(1);
      expect(await fixture.db.findUpdate(ref)).toMatchObject({ startedMs: NOW_MS });
    });

    it("doesn't start what is over", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.run("u1", "k1");
      expect(await fixture.start(ref)).toEqual({ kind: "finished" });
      const discarded = await fixture.createUpdate("u2");
      await fixture.db.requestCancel({ ref: discarded, nowMs: NOW_MS });
      expect(await fixture.start(discarded)).toEqual({ kind: "finished" });
      expect(await fixture.start(refOf("none"))).toEqual({ kind: "absent" });
    });

    it("starts exactly one of fifty real updates at once", async () => {
      const fixture = await Fixture.withStack(make);
      const refs = await times(50, (i) => fixture.createUpdate(`u${i}`));
      const outcomes = await Promise.all(refs.map((ref) => fixture.start(ref)));
      expect(tally(outcomes)).toEqual({ started: 1, conflict: 49 });
      const stack = await fixture.stack();
      expect(stack.version).toBe(1);
      const winner = refs[outcomes.findIndex((outcome) => outcome.kind === "started")]?.updateId;
      expect(stack.currentOperation?.updateId).toBe(winner);
    });

    it("starts fifty dry runs at once beside a real one", async () => {
      const fixture = await Fixture.withStack(make);
      const refs = await times(50, (i) => fixture.createUpdate(`p${i}`, { dryRun: true }));
      const real = await fixture.createUpdate("u1");
      const outcomes = await Promise.all([real, ...refs].map((ref) => fixture.start(ref)));
      expect(tally(outcomes)).toEqual({ started: 51 });
    });
  });
}
