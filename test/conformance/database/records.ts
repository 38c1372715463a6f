import { describe, expect, it } from "vitest";
import {
  type AuditEvent,
  type Database,
  DatabaseUnavailableError,
  GC_RUNS_KEPT,
} from "../../../db-adapters/contract.ts";
import { document, Fixture, type MakeDatabase, NOW_MS, ORG, page, times } from "./support.ts";

export function describeRecords(make: MakeDatabase): void {
  describe("sweep runs", () => {
    it("are listed newest first", async () => {
      const { db } = await make();
      const run = { endedMs: NOW_MS + 9, trigger: "cron", dryRun: false, counts: "{}", error: null } as const;
      await db.recordGcRun({ id: "g1", startedMs: NOW_MS, ...run });
      await db.recordGcRun({ id: "g3", startedMs: NOW_MS + 2, ...run, dryRun: true, error: "disk" });
      await db.recordGcRun({ id: "g2", startedMs: NOW_MS + 1, ...run, trigger: "api" });
      expect((await db.listGcRuns(9)).map((entry) => entry.id)).toEqual(["g3", "g2", "g1"]);
      expect(await db.listGcRuns(1)).toEqual([
        { id: "g3", startedMs: NOW_MS + 2, ...run, dryRun: true, error: "disk" },
      ]);
    });
  });

  describe("audit events", () => {
    it("keeps the newest thousand sweeps", async () => {
      const { db } = await Fixture.make(make);
      const run = { endedMs: NOW_MS, trigger: "cron", dryRun: false, counts: "{}", error: null } as const;
      const count = GC_RUNS_KEPT + 3;
      for (let index = 0; index < count; index++)
        await db.recordGcRun({ id: `g${index}`, startedMs: NOW_MS + index, ...run });
      const kept = await db.listGcRuns(2 * count);
      expect(kept).toHaveLength(GC_RUNS_KEPT);
      expect([kept[0]?.id, kept.at(-1)?.id]).toEqual([`g${count - 1}`, "g3"]);
    });

    it("are listed newest first, of one organization or all, in pages", async () => {
      const { db } = await make();
      const event = (id: string, organization: string | null) => ({
        ...{ id, atMs: NOW_MS, actor: "alice", action: "stack.delete", organization },
        ...{ target: "acme/web/dev", sourceIp: "::1" },
      });
      await db.appendAuditEvents([event("a1", "acme"), event("a2", null), event("a3", "beta")]);
      await db.appendAuditEvents([event("a4", "acme")]);
      await db.appendAuditEvents([]);
      const ids = async (filter: { organization?: string }, limit = 9, after: string | null = null) =>
        (await db.listAuditEvents(filter, page(limit, after))).map((entry) => entry.id);
      expect(await ids({})).toEqual(["a4", "a3", "a2", "a1"]);
      expect(await ids({}, 2, "a3")).toEqual(["a2", "a1"]);
      expect(await ids({ organization: "acme" })).toEqual(["a4", "a1"]);
      expect(await ids({ organization: "acme" }, 9, "a4")).toEqual(["a1"]);
      expect(await db.listAuditEvents({}, page(1, "a3"))).toEqual([event("a2", null)]);
    });
  });

  describe("a change with its audit event", () => {
    /** Runs one change and answers what it said, and the ids of the events that are there since. */
    const audited = async (db: Database, change: (audit: AuditEvent) => Promise<unknown>) => {
      const seen = await db.listAuditEvents({}, page(99));
      const facts = { atMs: NOW_MS, actor: "admin", action: "x.y", target: "t", sourceIp: "::1" };
      const audit = { id: `e${String(seen.length).padStart(3, "0")}`, organization: null, ...facts };
      const outcome = await change(audit);
      const events = await db.listAuditEvents({}, page(99));
      return [outcome, events.slice(0, events.length - seen.length)];
    };

    it("leaves one when it is made, and none when it is not", async () => {
      const fixture = await Fixture.withStack(make);
      const { db } = fixture;
      const nowMs = NOW_MS;
      const ada = { id: "ada", login: "ada", name: "", email: "", nowMs };
      const member = { organization: "other", login: "ada" };
      const token = { id: "t1", tokenHash: "h1", name: "n", kind: "person", login: "ada" } as const;
      const rest = { organization: null, role: null, createdBy: "admin", expiresMs: null, nowMs } as const;
      const dev = { stackId: "s-dev", force: true, nowMs };
      const ref = await fixture.begin("u1");
      const changes: readonly [unknown, (audit: AuditEvent) => Promise<unknown>][] = [
        ["created", (audit) => db.createOrganization({ id: "o9", name: "other", nowMs, audit })],
        ["name_taken", (audit) => db.createOrganization({ id: "o8", name: "other", nowMs, audit })],
        ["created", (audit) => db.createUser({ ...ada, audit })],
        ["login_taken", (audit) => db.createUser({ ...ada, id: "u9", audit })],
        ["updated", (audit) => db.updateUser({ login: "ada", name: "Ada", audit })],
        ["absent", (audit) => db.updateUser({ login: "nobody", name: "Ada", audit })],
        ["set", (audit) => db.setMembership({ ...member, role: "viewer", nowMs, audit })],
        ["set", (audit) => db.setMembership({ ...member, role: "admin", nowMs, audit })],
        ["no_user", (audit) => db.setMembership({ ...member, login: "x", role: "admin", nowMs, audit })],
        ["removed", (audit) => db.removeMembership({ ...member, audit })],
        ["absent", (audit) => db.removeMembership({ ...member, audit })],
        ["created", (audit) => db.createToken({ ...token, ...rest, audit })],
        ["no_user", (audit) => db.createToken({ ...token, ...rest, id: "t2", login: "nobody", audit })],
        ["revoked", (audit) => db.revokeToken({ id: "t1", nowMs, audit })],
        ["already_revoked", (audit) => db.revokeToken({ id: "t1", nowMs, audit })],
        ["deleted", (audit) => db.deleteUser({ login: "ada", audit })],
        ["absent", (audit) => db.deleteUser({ login: "ada", audit })],
        ["update_running", (audit) => db.deleteStack({ ...dev, audit })],
        [{ kind: "cancelling", stackId: "s-dev" }, (audit) => db.requestCancel({ ref, nowMs, audit })],
        [{ kind: "already_cancelled" }, (audit) => db.requestCancel({ ref, nowMs, audit })],
        ["deleted", (audit) => db.deleteOrganization({ name: "other", nowMs, audit })],
        ["absent", (audit) => db.deleteOrganization({ name: "other", nowMs, audit })],
        ["has_stacks", (audit) => db.deleteOrganization({ name: ORG, nowMs, audit })],
      ];
      const MADE = ["created", "updated", "set", "removed", "revoked", "deleted"];
      for (const [expected, change] of changes) {
        const isMade = typeof expected === "string" ? MADE.includes(expected) : expected === changes[18]?.[0];
        const [outcome, events] = await audited(db, change);
        expect(outcome).toEqual(expected);
        expect(events, String(change)).toMatchObject(isMade ? [{ action: "x.y", organization: null }] : []);
      }
    });

    it("names the organization of a machine's token that is revoked", async () => {
      const { db } = await Fixture.make(make);
      const token = { id: "t1", tokenHash: "h1", name: "ci", kind: "machine", login: null } as const;
      const rest = { organization: ORG, role: "member", createdBy: "a", expiresMs: null } as const;
      await db.createToken({ ...token, ...rest, nowMs: NOW_MS });
      const [outcome, events] = await audited(db, (audit) =>
        db.revokeToken({ id: "t1", nowMs: NOW_MS, audit }),
      );
      expect([outcome, events]).toMatchObject(["revoked", [{ organization: ORG }]]);
    });
  });

  describe("statistics", () => {
    it("follow what happens", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      const { db } = fixture;
      await db.createUser({ id: "u", login: "alice", name: "", email: "", nowMs: NOW_MS });
      await fixture.createStack("other");
      await fixture.begin("u1");
      await fixture.begin("p1", { dryRun: true });
      expect(await db.statistics()).toEqual({
        ...{ organizations: 1, users: 1, stacks: 2, activeLeases: 2, stateBytes: 100, stateVersions: 1 },
        ...{ artifacts: 0, artifactBytes: 0 },
      });
      await fixture.finish("u1", document("k1", { sizeBytes: 23 }));
      await db.deleteStack({ stackId: "s-other", force: false, nowMs: NOW_MS });
      await db.deleteUser({ login: "alice" });
      expect(await db.statistics()).toEqual({
        ...{ organizations: 1, users: 0, stacks: 1, activeLeases: 1, stateBytes: 123, stateVersions: 2 },
        ...{ artifacts: 0, artifactBytes: 0 },
      });
    });
  });

  describe("settings", () => {
    it("belong to the first who claims them", async () => {
      const { db } = await make();
      const claims = await times(20, (i) => db.claimSetting("key", `value ${i}`));
      expect(new Set(claims).size).toBe(1);
      expect(await db.claimSetting("key", "late")).toBe(claims[0]);
      expect(await db.claimSetting("other", "x")).toBe("x");
    });
  });

  describe("the database itself", () => {
    it("says what it is and that it lives", async () => {
      const { db } = await make();
      await db.ping();
      const facts = await db.describe();
      expect(facts).toMatchObject({ engine: expect.any(String), version: expect.any(String) });
      expect(facts.schema).toMatch(/^\d+$/);
    });

    it("finishes what it accepted before it closes, and refuses what comes later", async () => {
      const { db, reopen } = await make();
      const creations = times(20, (i) =>
        db.createOrganization({ id: `o${i}`, name: `n${i}`, nowMs: NOW_MS }),
      );
      await db.close();
      expect(await creations).toEqual(Array(20).fill("created"));
      await expect(db.ping()).rejects.toThrow(DatabaseUnavailableError);
      await expect(db.createOrganization({ id: "x", name: "x", nowMs: 1 })).rejects.toThrow(
        DatabaseUnavailableError,
      );
      await db.close();
      const again = await reopen();
      expect(await again.listOrganizations(page(99))).toHaveLength(20);
    });

    it("has everything again after a reopen", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      const ref = await fixture.begin("u1");
      await fixture.append(ref, "d1");
      await fixture.events(ref, "e1", [0, 9], "{}");
      const [stack, fold, update] = [
        await fixture.stack(),
        await fixture.fold("u1"),
        fixture.db.findUpdate(ref),
      ];
      const before = await update;
      const db = await fixture.reopen();
      expect(await db.findStack(ref)).toEqual(stack);
      expect(await db.readFold("u1", null)).toEqual({ kind: "fold", input: fold });
      expect(await db.findUpdate(ref)).toEqual(before);
      expect(await db.listJournalBatches("u1", 0, 9)).toHaveLength(1);
      expect(await db.listEventBatches("u1", -1, 9)).toHaveLength(1);
    });
  });
}
