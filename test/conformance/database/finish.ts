import { describe, expect, it } from "vitest";
import {
  checkpoint,
  document,
  Fixture,
  type MakeDatabase,
  NOW_MS,
  tally,
  times,
  tokenOf,
} from "./support.ts";

export function describeFinish(make: MakeDatabase): void {
  describe("finishing updates", () => {
    it("stores the new state, history's entry and frees the stack", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      const ref = await fixture.begin("u1");
      await fixture.append(ref, "d1");
      const state = document("k1", { resourceCount: 9 });
      expect(await fixture.finish("u1", state, { nowMs: NOW_MS + 7 })).toEqual({ kind: "finished" });
      expect(await fixture.stack()).toMatchObject({
        ...{ version: 1, stateVersion: 1, goodVersion: 1, resourceCount: 9, lastUpdateMs: NOW_MS + 7 },
        ...{ activeUpdateId: "u1", currentOperation: null },
      });
      expect(await fixture.db.findUpdate(ref)).toMatchObject({
        ...{ status: "succeeded", ending: null, endedMs: NOW_MS + 7, resourceCount: 9, version: 1 },
      });
      expect(await fixture.db.findState("s-dev", "latest")).toEqual({
        ...{ ...state, stackId: "s-dev", version: 1, updateId: "u1", createdMs: NOW_MS + 7 },
      });
      expect(await fixture.db.listJournalBatches("u1", 0, 9)).toEqual([]);
    });

    it("stores a failed update's state too, and keeps the good version when it is marked", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      await fixture.begin("u1");
      await fixture.finish("u1", document("k1", { problems: "[{}]" }), { status: "failed" });
      expect(await fixture.stack()).toMatchObject({ version: 1, stateVersion: 1, goodVersion: 0 });
      expect(await fixture.db.findUpdateByVersion("s-dev", 1)).toMatchObject({ status: "failed" });
    });

    it("names the base's document again when nothing changed", async () => {
      const fixture = await Fixture.withStack(make, document("k0", { resourceCount: 4 }));
      await fixture.begin("u1");
      await fixture.finish("u1", null);
      expect(await fixture.stack()).toMatchObject({ stateVersion: 1, goodVersion: 1, resourceCount: 4 });
      const state = await fixture.db.findState("s-dev", "latest");
      expect(state).toMatchObject({ blobKey: "k0", version: 1, updateId: "u1", resourceCount: 4 });
    });

    it("stores no state where there was none and none came", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.begin("u1");
      expect(await fixture.finish("u1", null)).toEqual({ kind: "finished" });
      const nothing = { version: 1, stateVersion: null, goodVersion: null, resourceCount: 0 };
      expect(await fixture.stack()).toMatchObject(nothing);
      expect(await fixture.db.findState("s-dev", "latest")).toBeNull();
      expect(await fixture.db.listHistory("s-dev", { page: 1, pageSize: 9 })).toHaveLength(1);
    });

    it("stores only the outcome of a dry run", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      const before = await fixture.stack();
      const ref = await fixture.begin("p1", { dryRun: true });
      const end = { status: "failed", nowMs: NOW_MS + 3 } as const;
      expect(await fixture.finish("p1", document("k9"), end)).toEqual({ kind: "finished" });
      const outcome = { status: "failed", endedMs: NOW_MS + 3, version: 0 };
      expect(await fixture.db.findUpdate(ref)).toMatchObject(outcome);
      expect(await fixture.stack()).toEqual(before);
      expect(await fixture.db.findUnnamedBlobs(["k0", "k9"])).toEqual(["k9"]);
    });

    it("recognises a complete that is sent again, and no other", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.begin("u1");
      const { revision } = await fixture.fold("u1");
      await fixture.finish("u1", document("k1"));
      expect(await fixture.finish("u1", document("k1"), { revision })).toEqual({ kind: "already_finished" });
      const over = { kind: "lease_refused", why: "not_running" };
      expect(await fixture.finish("u1", document("k1"), { status: "failed" })).toEqual(over);
      const stranger = { kind: "lease_refused", why: "wrong_token" };
      expect(await fixture.finish("u1", document("k1"), { tokenHash: "x" })).toEqual(stranger);
      expect((await fixture.stack()).version).toBe(1);
    });

    it("refuses the owner's complete after a cancel or a lease end", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.begin("u1");
      const ending = { tokenHash: null, status: "failed", ending: "expired" } as const;
      await fixture.finish("u1", document("k1"), ending);
      expect(await fixture.finish("u1", document("k2"))).toMatchObject({ why: "not_running" });
      const failed = await fixture.finish("u1", document("k2"), { status: "failed" });
      expect(failed).toMatchObject({ why: "not_running" });
      expect(await fixture.finish("u1", document("k1"), ending)).toEqual({ kind: "already_finished" });
      expect(await fixture.db.findUpdateById("u1")).toMatchObject({ status: "failed", ending: "expired" });
    });

    it("doesn't finish what never started or isn't there", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.createUpdate("u1");
      const asNobody = { tokenHash: null, revision: 0 };
      expect(await fixture.finish("u1", null, asNobody)).toMatchObject({ why: "not_running" });
      expect(await fixture.finish("u1", null)).toMatchObject({ why: "wrong_token" });
      const unknown = await fixture.finish("u1", null, { updateId: "none" });
      expect(unknown).toMatchObject({ why: "unknown_update" });
    });

    it("sends the caller back when anything was accepted since the fold", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      const stale = async (change: () => Promise<unknown>) => {
        const { revision } = await fixture.fold("u1");
        await change();
        expect(await fixture.finish("u1", document("k"), { revision })).toEqual({ kind: "moved" });
      };
      await stale(() => fixture.append(ref, "d1"));
      await stale(() => fixture.save(ref, checkpoint("c1", 1)));
      const renewal = { ref, tokenHash: tokenOf("u1"), expiresMs: NOW_MS + 1, nowMs: NOW_MS };
      await stale(() => fixture.db.renewLease(renewal));
      expect(await fixture.finish("u1", document("k"))).toEqual({ kind: "finished" });
    });

    it("keeps a journal that couldn't be replayed, with its checkpoint and base", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      const ref = await fixture.begin("u1");
      await fixture.save(ref, checkpoint("c1", null));
      await fixture.append(ref, "d1");
      await fixture.finish("u1", null, { status: "failed", keepJournal: true });
      const fold = await fixture.fold("u1");
      expect(fold).toMatchObject({ journalBatchCount: 1, checkpoint: checkpoint("c1", null) });
      expect(fold.base).toMatchObject({ version: 0 });
      expect(await fixture.db.listJournalBatches("u1", fold.journalAfterId, 9)).toHaveLength(1);
    });

    it("answers the holder of a kept journal the same, whatever is asked, and nobody else", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      await fixture.append(ref, "d1");
      await fixture.finish("u1", null, { status: "failed", keepJournal: true });
      for (const status of ["succeeded", "failed"] as const)
        expect(await fixture.finish("u1", null, { status, revision: -1 })).toEqual({ kind: "journal_kept" });
      const stranger = { status: "failed", revision: -1, tokenHash: "another" } as const;
      expect(await fixture.finish("u1", null, stranger)).toMatchObject({ why: "wrong_token" });
      await fixture.begin("u2");
      await fixture.finish("u2", null, { status: "succeeded" });
      expect(await fixture.finish("u2", null, { status: "succeeded", revision: -1 })).toEqual({
        kind: "already_finished",
      });
    });

    it("loses no batch to a concurrent complete: accepted before, or refused after", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      const { revision } = await fixture.fold("u1");
      const appends = times(20, (i) => fixture.append(ref, `d${i}`));
      const [outcome, appended] = await Promise.all([
        fixture.finish("u1", document("k"), { revision }),
        appends,
      ]);
      const counts = tally(appended);
      // `finish` reads the revision first; here it was read before any batch.
      if (outcome.kind === "finished") expect(counts).toEqual({ lease_refused: 20 });
      else expect([outcome.kind, counts]).toEqual(["moved", { appended: 20 }]);
    });

    it("lets exactly one of many finishers win", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.begin("u1");
      const { revision } = await fixture.fold("u1");
      const endings = ["cancelled", "expired"] as const;
      const outcomes = await times(20, (i) =>
        fixture.finish("u1", document(`k${i}`), {
          ...{ tokenHash: null, status: "failed", ending: endings[i % 2] ?? null, revision },
        }),
      );
      expect(tally(outcomes)).toEqual({ finished: 1, already_finished: 9, lease_refused: 10 });
      expect((await fixture.db.statistics()).stateVersions).toBe(1);
    });
  });
}
