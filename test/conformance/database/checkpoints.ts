import { describe, expect, it } from "vitest";
import { checkpoint, document, Fixture, type MakeDatabase, tokenOf } from "./support.ts";

const saved = (replacedBlobKey: string | null = null) => ({ kind: "saved", replacedBlobKey });

export function describeCheckpoints(make: MakeDatabase): void {
  describe("checkpoints", () => {
    it("always takes a plain one, and names the blob it replaced", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      expect((await fixture.fold("u1")).checkpoint).toBeNull();
      expect(await fixture.save(ref, checkpoint("c1", null))).toEqual(saved());
      const { revision } = await fixture.fold("u1");
      expect(await fixture.save(ref, checkpoint("c2", null))).toEqual(saved("c1"));
      const fold = await fixture.fold("u1");
      expect(fold.checkpoint).toEqual(checkpoint("c2", null));
      expect(fold.revision).toBeGreaterThan(revision);
    });

    it("follows the sequence: repeats, corrections, stragglers and gaps", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      expect(await fixture.save(ref, checkpoint("c0", 2))).toEqual({ kind: "sequence_gap", lastSequence: 0 });
      expect(await fixture.save(ref, checkpoint("c1", 1))).toEqual(saved());
      const { revision } = await fixture.fold("u1");
      const repeat = checkpoint("c1-again", 1, { sha256: "sha of c1" });
      expect(await fixture.save(ref, repeat)).toEqual({ kind: "already_saved" });
      expect((await fixture.fold("u1")).revision).toBe(revision);
      expect(await fixture.save(ref, checkpoint("c1-verbatim", 1))).toEqual(saved("c1"));
      expect(await fixture.save(ref, checkpoint("c2", 2))).toEqual(saved("c1-verbatim"));
      expect(await fixture.save(ref, checkpoint("c1-late", 1))).toEqual({ kind: "already_saved" });
      expect(await fixture.save(ref, checkpoint("c4", 4))).toEqual({ kind: "sequence_gap", lastSequence: 2 });
      expect((await fixture.fold("u1")).checkpoint).toEqual(checkpoint("c2", 2));
    });

    it("never calls a blob replaced that a state version or another update names", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      const ref = await fixture.begin("u1");
      const preview = await fixture.begin("p1", { dryRun: true });
      await fixture.save(ref, checkpoint("k0", null));
      expect(await fixture.save(ref, checkpoint("shared", null))).toEqual(saved());
      await fixture.save(preview, checkpoint("shared", null));
      expect(await fixture.save(ref, checkpoint("shared", null))).toEqual(saved());
      expect(await fixture.save(ref, checkpoint("c3", null))).toEqual(saved());
      expect(await fixture.save(preview, checkpoint("c4", null))).toEqual(saved("shared"));
    });

    it("supersedes the journal so far, and still knows its batches", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      await fixture.append(ref, "d1");
      await fixture.append(ref, "d2");
      const last = (await fixture.db.listJournalBatches("u1", 0, 9)).at(-1);
      await fixture.save(ref, checkpoint("c1", null));
      const empty = { journalBatchCount: 0, journalSizeBytes: 0 };
      expect(await fixture.fold("u1")).toMatchObject({ journalAfterId: last?.id, ...empty });
      expect(await fixture.append(ref, "d2")).toEqual({ kind: "already_appended" });
      expect(await fixture.append(ref, "d3")).toEqual({ kind: "appended" });
      const fold = await fixture.fold("u1");
      expect(fold).toMatchObject({ journalAfterId: last?.id, journalBatchCount: 1, journalSizeBytes: 10 });
      expect(await fixture.db.listJournalBatches("u1", fold.journalAfterId, 9)).toHaveLength(1);
    });

    it("refuses a stranger's and those of an update that is over", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.begin("u1");
      const save = { ref, checkpoint: checkpoint("c1", null), nowMs: 1 };
      const stranger = await fixture.db.saveCheckpoint({ ...save, tokenHash: "x" });
      expect(stranger).toEqual({ kind: "lease_refused", why: "wrong_token" });
      await fixture.finish("u1", document("k1"));
      const late = await fixture.db.saveCheckpoint({ ...save, tokenHash: tokenOf("u1") });
      expect(late).toEqual({ kind: "lease_refused", why: "not_running" });
      const unknown = { ...save, ref: { ...ref, stack: "none" }, tokenHash: tokenOf("u1") };
      expect(await fixture.db.saveCheckpoint(unknown)).toMatchObject({ why: "unknown_update" });
    });
  });
}
