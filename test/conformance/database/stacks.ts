import { describe, expect, it } from "vitest";
import { document, Fixture, type MakeDatabase, NOW_MS, nameOf, ORG, page, tally, times } from "./support.ts";

export function describeStacks(make: MakeDatabase): void {
  describe("stacks", () => {
    it("creates an empty one", async () => {
      const { db } = await Fixture.make(make);
      const tags = { "pulumi:project": "web", ünï: "çödé" };
      const input = { id: "s1", name: nameOf("dev"), tags, state: null, nowMs: NOW_MS };
      expect(await db.createStack(input)).toBe("created");
      expect(await db.findStack(nameOf("dev"))).toEqual({
        ...nameOf("dev"),
        ...{ id: "s1", createdMs: NOW_MS, tags, version: 0, stateVersion: null, goodVersion: null },
        ...{ activeUpdateId: null, currentOperation: null, lastUpdateMs: null, resourceCount: 0 },
      });
      expect(await db.findState("s1", "latest")).toBeNull();
      expect(await db.findStateOf(nameOf("dev"), "latest")).toEqual({ kind: "stack", state: null });
      expect(await db.createStack({ ...input, id: "s2" })).toBe("exists");
      expect(await db.createStack({ ...input, id: "s3", name: nameOf("Dev") })).toBe("created");
      const elsewhere = { ...nameOf("dev"), organization: "none" };
      expect(await db.createStack({ ...input, id: "s4", name: elsewhere })).toBe("no_organization");
      expect(await db.findStack(elsewhere)).toBeNull();
    });

    it("creates one with a state: version 0", async () => {
      const { db } = await Fixture.withStack(make, document("k0", { resourceCount: 5 }));
      expect(await db.findStack(nameOf("dev"))).toMatchObject({
        ...{ version: 0, stateVersion: 0, goodVersion: 0, resourceCount: 5, lastUpdateMs: null },
      });
      const state = { ...document("k0", { resourceCount: 5 }), stackId: "s-dev", version: 0 };
      expect(await db.findState("s-dev", "latest")).toEqual({ ...state, updateId: null, createdMs: NOW_MS });
      expect(await db.findState("s-dev", 0)).toEqual({ ...state, updateId: null, createdMs: NOW_MS });
      expect(await db.findState("s-dev", 1)).toBeNull();
      expect(await db.findState("none", "latest")).toBeNull();
      for (const version of ["latest", 0, 1] as const) {
        const found = { kind: "stack", state: await db.findState("s-dev", version) };
        expect(await db.findStateOf(nameOf("dev"), version)).toEqual(found);
      }
      expect(await db.findStateOf(nameOf("Dev"), "latest")).toEqual({ kind: "absent" });
      const elsewhere = { ...nameOf("dev"), organization: "none" };
      expect(await db.findStateOf(elsewhere, "latest")).toEqual({ kind: "absent" });
    });

    it("calls a marked first state stored, not good", async () => {
      const fixture = await Fixture.withStack(make, document("k0", { problems: "[{}]" }));
      expect(await fixture.stack()).toMatchObject({ stateVersion: 0, goodVersion: null });
    });

    it("lets exactly one of many creators win", async () => {
      const { db } = await Fixture.make(make);
      const input = { name: nameOf("dev"), tags: { a: "b" }, state: document("k"), nowMs: NOW_MS };
      const outcomes = await times(30, (i) => db.createStack({ id: `s${i}`, ...input }));
      expect(tally(outcomes)).toEqual({ created: 1, exists: 29 });
      expect((await db.statistics()).stateVersions).toBe(1);
    });

    it("knows which projects have stacks", async () => {
      const { db } = await Fixture.withStack(make);
      expect(await db.projectExists(ORG, "web")).toBe(true);
      expect(await db.projectExists(ORG, "we")).toBe(false);
      expect(await db.projectExists("none", "web")).toBe(false);
      await db.deleteStack({ stackId: "s-dev", force: false, nowMs: NOW_MS });
      expect(await db.projectExists(ORG, "web")).toBe(false);
    });

    it("replaces the whole map of tags", async () => {
      const fixture = await Fixture.withStack(make);
      expect(await fixture.db.replaceTags("s-dev", { a: "1", b: "2" })).toBe("replaced");
      expect(await fixture.db.replaceTags("s-dev", { b: "3" })).toBe("replaced");
      expect((await fixture.stack()).tags).toEqual({ b: "3" });
      expect(await fixture.db.replaceTags("none", {})).toBe("absent");
    });
  });

  describe("listing stacks", () => {
    async function withMany() {
      const fixture = await Fixture.make(make);
      await fixture.db.createOrganization({ id: "o-beta", name: "beta", nowMs: NOW_MS });
      const create = (organization: string, project: string, stack: string, tags = {}) =>
        fixture.db.createStack({
          id: `${organization}/${project}/${stack}`,
          ...{ name: { organization, project, stack }, tags, state: null, nowMs: NOW_MS },
        });
      await create("beta", "a", "x");
      await create(ORG, "web", "prod", { env: "prod", team: "one" });
      await create(ORG, "web", "dev", { env: "dev" });
      await create(ORG, "api", "prod", { env: "prod" });
      const list = async (
        filter: Parameters<typeof fixture.db.listStacks>[0],
        limit = 9,
        after: string | null = null,
      ) => (await fixture.db.listStacks(filter, page(limit, after))).map((stack) => stack.id);
      return { ...fixture, db: fixture.db, list };
    }
    const BOTH = { organizations: ["beta", ORG] };
    const ALL = ["acme/api/prod", "acme/web/dev", "acme/web/prod", "beta/a/x"];

    it("ascends by organization, project, stack", async () => {
      const { list } = await withMany();
      expect(await list(BOTH)).toEqual(ALL);
      expect(await list({ organizations: ["beta"] })).toEqual(["beta/a/x"]);
      expect(await list({ organizations: [] })).toEqual([]);
      expect(await list({ organizations: ["none", ORG, ORG] })).toEqual(ALL.slice(0, 3));
    });

    it("gives every stack once, whatever the page size", async () => {
      const { list } = await withMany();
      for (const limit of [1, 2, 3, 4]) {
        const seen: string[] = [];
        for (let after: string | null = null, ids = [""]; ids.length > 0; after = seen.at(-1) ?? null) {
          ids = await list(BOTH, limit, after);
          expect(ids.length).toBeLessThanOrEqual(limit);
          seen.push(...ids);
        }
        expect(seen).toEqual(ALL);
      }
    });

    it("filters by project and tag, and pages what is left", async () => {
      const { list } = await withMany();
      expect(await list({ ...BOTH, project: "web" })).toEqual(["acme/web/dev", "acme/web/prod"]);
      expect(await list({ ...BOTH, tagName: "env" })).toEqual(ALL.slice(0, 3));
      expect(await list({ ...BOTH, tagName: "env", tagValue: "prod" })).toEqual([ALL[0], ALL[2]]);
      expect(await list({ ...BOTH, tagName: "env", tagValue: "prod" }, 1, "acme/api/prod")).toEqual([ALL[2]]);
      expect(await list({ ...BOTH, project: "api", tagName: "team" })).toEqual([]);
    });

    it("filters and pages in the same way by a tag that more than a thousand have", async () => {
      const { db, list } = await withMany();
      const numbers = Array.from({ length: 1_002 }, (_, index) => String(index).padStart(4, "0"));
      await Promise.all(
        numbers.map((number, index) =>
          db.createStack({
            id: number,
            name: { organization: ORG, project: index < 2 ? "api" : "many", stack: `n${number}` },
            ...{ tags: { many: index % 2 === 0 ? "even" : "odd", env: "dev" }, state: null, nowMs: NOW_MS },
          }),
        ),
      );
      const tag = { ...BOTH, tagName: "many" };
      expect(await list(tag, 3)).toEqual(["0000", "0001", "0002"]);
      expect(await list(tag, 3, "acme/many/n0002")).toEqual(["0003", "0004", "0005"]);
      expect(await list({ ...BOTH, project: "api", tagName: "env", tagValue: "dev" })).toEqual([
        "0000",
        "0001",
      ]);
      expect(await list({ ...BOTH, tagName: "env", tagValue: "dev" }, 4, "acme/many/n1000")).toEqual([
        "1001",
        "acme/web/dev",
      ]);
      expect(await list({ ...tag, tagValue: "odd" }, 2)).toEqual(["0001", "0003"]);
    });

    it("continues after a stack that is gone", async () => {
      const { db, list } = await withMany();
      await db.deleteStack({ stackId: "acme/web/dev", force: false, nowMs: NOW_MS });
      expect(await list(BOTH, 9, "acme/web/dev")).toEqual(["acme/web/prod", "beta/a/x"]);
      expect(await list(BOTH)).not.toContain("acme/web/dev");
    });
  });

  describe("deleting a stack", () => {
    it("frees the name at once and hides the stack and its updates from every step", async () => {
      const fixture = await Fixture.withStack(make);
      const { db } = fixture;
      const ref = await fixture.run("u1", "k1");
      const preview = await fixture.begin("p1", { dryRun: true });
      expect(await db.deleteStack({ stackId: "s-dev", force: false, nowMs: NOW_MS })).toBe("has_resources");
      expect(await db.deleteStack({ stackId: "s-dev", force: true, nowMs: NOW_MS })).toBe("deleted");
      expect(await db.deleteStack({ stackId: "s-dev", force: true, nowMs: NOW_MS })).toBe("absent");
      expect(await db.findStack(nameOf("dev"))).toBeNull();
      expect(await db.findState("s-dev", "latest")).toBeNull();
      expect(await db.findUpdate(ref)).toBeNull();
      expect(await db.findUpdateById("u1")).toBeNull();
      expect(await db.findUpdateScope(ref)).toBeNull();
      expect(await db.listHistory("s-dev", { page: 1, pageSize: 9 })).toEqual([]);
      expect(await db.readFold("u1", null)).toEqual({ kind: "absent" });
      expect(await db.listActiveLeases(page(9))).toEqual([]);
      expect(await db.checkLease(preview, "token of p1")).toMatchObject({ why: "unknown_update" });
      expect(await fixture.start(ref)).toEqual({ kind: "absent" });
      const update = { kind: "update", dryRun: false, actor: "a", config: null, metadata: "{}" } as const;
      expect(await db.createUpdate({ id: "u2", stackId: "s-dev", ...update, nowMs: 1 })).toBe("absent");
      expect(await db.replaceTags("s-dev", {})).toBe("absent");
      const again = { id: "s-2", name: nameOf("dev"), tags: {}, state: null, nowMs: NOW_MS };
      expect(await db.createStack(again)).toBe("created");
    });

    it("refuses while a real update runs, force or not", async () => {
      const fixture = await Fixture.withStack(make);
      await fixture.begin("u1");
      const remove = (force: boolean) => fixture.db.deleteStack({ stackId: "s-dev", force, nowMs: NOW_MS });
      expect(await remove(true)).toBe("update_running");
      await fixture.finish("u1", null);
      expect(await remove(false)).toBe("deleted");
    });

    it("counts resources that are marked for deletion too", async () => {
      const fixture = await Fixture.withStack(make, document("k", { resourceCount: 0, resourceTotal: 1 }));
      const remove = { stackId: "s-dev", nowMs: NOW_MS };
      expect(await fixture.db.deleteStack({ ...remove, force: false })).toBe("has_resources");
    });
  });
}
