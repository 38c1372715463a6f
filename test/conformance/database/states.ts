import { describe, expect, it } from "vitest";
import {
  bytes,
  document,
  Fixture,
  type MakeDatabase,
  NOW_MS,
  nameOf,
  tally,
  text,
  times,
} from "./support.ts";

export function describeStates(make: MakeDatabase): void {
  describe("importing a state", () => {
    const input = { stackId: "s-dev", updateId: "i1", actor: "alice", message: 'of "it"', nowMs: NOW_MS + 5 };

    it("stores the next version with a finished update", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      const { db } = fixture;
      const state = document("k1", { resourceCount: 7 });
      expect(await db.importState({ ...input, state })).toEqual({ kind: "imported", version: 1 });
      expect(await fixture.stack()).toMatchObject({
        ...{ version: 1, stateVersion: 1, goodVersion: 1, resourceCount: 7, lastUpdateMs: NOW_MS + 5 },
        ...{ activeUpdateId: "i1", currentOperation: null },
      });
      expect(await db.findState("s-dev", "latest")).toMatchObject({ ...state, version: 1, updateId: "i1" });
      expect(await db.findState("s-dev", 0)).toMatchObject({ blobKey: "k0" });
      const update = await db.findUpdateByVersion("s-dev", 1);
      expect(update).toMatchObject({ id: "i1", kind: "import", status: "succeeded", actor: "alice" });
      expect(update).toMatchObject({ dryRun: false, startedMs: NOW_MS + 5, endedMs: NOW_MS + 5 });
      expect(JSON.parse(update?.metadata ?? "")).toMatchObject({ message: 'of "it"', environment: {} });
      expect(update?.config).toBeNull();
    });

    it("keeps small documents in the row, as created, imported, ended and renamed", async () => {
      const sealed = (text: string) => ({ sealed: Buffer.from(text) });
      const fixture = await Fixture.withStack(make, document("k0", sealed("created")));
      const { db } = fixture;
      await db.importState({ ...input, state: document("k1", sealed("imported")) });
      await fixture.begin("u2");
      const base = (await fixture.fold("u2")).base?.sealed;
      expect(text(base ?? bytes(""))).toBe("imported");
      await fixture.finish("u2", document("k2", sealed("ended")));
      await fixture.begin("u3");
      await fixture.finish("u3", null); // unchanged
      const path = { stackId: "s-dev", project: "shop", stack: "renamed", tags: {} };
      const by = { updateId: "r4", actor: "alice", expectedStateVersion: 3, nowMs: NOW_MS };
      expect(await db.renameStack({ ...path, ...by, state: document("k4", sealed("renamed")) })).toBe(
        "renamed",
      );
      const again = await fixture.reopen();
      const kept: string[] = [];
      for (let version = 0; version <= 4; version++) {
        const state = await again.findState("s-dev", version);
        kept.push(text(state?.sealed ?? bytes("")));
      }
      expect(kept).toEqual(["created", "imported", "ended", "ended", "renamed"]);
    });

    it("keeps the last good version when the new one is marked", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      await fixture.db.importState({ ...input, state: document("k1", { problems: "[{}]" }) });
      expect(await fixture.stack()).toMatchObject({ stateVersion: 1, goodVersion: 0 });
    });

    it("refuses while an update runs, and where there is no stack", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.begin("p1", { dryRun: true });
      await fixture.begin("u1");
      const state = document("k1");
      expect(await fixture.db.importState({ ...input, state })).toEqual({ kind: "update_running" });
      const elsewhere = { ...input, stackId: "none", state };
      expect(await fixture.db.importState(elsewhere)).toEqual({ kind: "absent" });
    });

    it("takes turns with starts: never an import under a running update", async () => {
      const fixture = await Fixture.withStack(make);
      const ref = await fixture.createUpdate("u1");
      const imports = times(10, (i) =>
        fixture.db.importState({ ...input, updateId: `i${i}`, state: document(`k${i}`) }),
      );
      const [start, outcomes] = await Promise.all([fixture.start(ref), imports]);
      expect(start.kind).toBe("started");
      const stored = outcomes.filter((outcome) => outcome.kind === "imported").length;
      expect((await fixture.stack()).version).toBe(stored + 1);
      const base = (await fixture.fold("u1")).base?.version ?? 0;
      expect(start).toMatchObject({ version: base + 1 });
    });
  });

  describe("renaming a stack", () => {
    const input = {
      ...{ stackId: "s-dev", project: "site", stack: "prod", tags: { "pulumi:project": "site" } },
      ...{ updateId: "r1", actor: "alice", nowMs: NOW_MS + 5 },
    };
    const rewritten = { state: document("k1"), expectedStateVersion: 0 };

    it("takes the name and stores the rewritten state, both", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      expect(await fixture.db.renameStack({ ...input, ...rewritten })).toBe("renamed");
      expect(await fixture.db.findStack(nameOf("dev"))).toBeNull();
      expect(await fixture.db.findStack(nameOf("prod", "site"))).toMatchObject({
        ...{ id: "s-dev", tags: input.tags, version: 1, stateVersion: 1, activeUpdateId: "r1" },
      });
      expect(await fixture.db.findState("s-dev", "latest")).toMatchObject({ blobKey: "k1", version: 1 });
      expect(await fixture.db.findUpdateByVersion("s-dev", 1)).toMatchObject({ kind: "rename" });
      expect(await fixture.db.listHistory("s-dev", { page: 1, pageSize: 9 })).toHaveLength(1);
    });

    it("renames a stack without state", async () => {
      const fixture = await Fixture.withStack(make);
      const outcome = await fixture.db.renameStack({ ...input, state: null, expectedStateVersion: null });
      expect(outcome).toBe("renamed");
      const stack = await fixture.db.findStack(nameOf("prod", "site"));
      expect(stack).toMatchObject({ stateVersion: null, version: 1 });
    });

    it("changes nothing when the state moved, the name is taken or an update runs", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      const { db } = fixture;
      const stale = { ...input, ...rewritten, expectedStateVersion: 3 };
      expect(await db.renameStack(stale)).toBe("state_changed");
      expect(await db.renameStack({ ...input, ...rewritten, stackId: "none" })).toBe("absent");
      await fixture.createStack("prod", { project: "site" });
      expect(await db.renameStack({ ...input, ...rewritten })).toBe("name_taken");
      await fixture.begin("u1");
      expect(await db.renameStack({ ...input, ...rewritten, stack: "x" })).toBe("update_running");
      expect(await fixture.stack()).toMatchObject({ id: "s-dev", version: 1, stateVersion: 0, tags: {} });
      expect(await db.findUpdateById("r1")).toBeNull();
    });

    it("may keep its own name and change its project", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      const same = { ...input, ...rewritten, project: "web", stack: "dev" };
      expect(await fixture.db.renameStack(same)).toBe("renamed");
    });

    it("gives one name to exactly one of many", async () => {
      const fixture = await Fixture.make(make);
      await times(10, (i) => fixture.createStack(`n${i}`));
      const outcomes = await times(10, (i) =>
        fixture.db.renameStack({
          ...{ ...input, stackId: `s-n${i}`, updateId: `r${i}` },
          ...{ state: null, expectedStateVersion: null },
        }),
      );
      expect(tally(outcomes)).toEqual({ renamed: 1, name_taken: 9 });
    });

    it("takes turns with starts: an update that started keeps its stack's name", async () => {
      const fixture = await Fixture.withStack(make, document("k0"));
      const ref = await fixture.createUpdate("u1");
      const rename = fixture.db.renameStack({ ...input, ...rewritten });
      const [start, outcome] = await Promise.all([fixture.start(ref), rename]);
      // Whichever came first, the other saw it: no start of a name that is gone, no rename of a running stack.
      const pair = `${start.kind} ${outcome}`;
      expect(["started update_running", "absent renamed"]).toContain(pair);
    });
  });
}
