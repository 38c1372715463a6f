import { describe, expect, it } from "vitest";
import { Fixture, type MakeDatabase, NOW_MS, ORG, page } from "./support.ts";

async function withAlice(make: MakeDatabase) {
  const { db } = await Fixture.make(make);
  await db.createUser({ id: "u1", login: "alice", name: "Alice", email: "a@x", nowMs: NOW_MS });
  await db.createOrganization({ id: "o-b", name: "beta", nowMs: NOW_MS });
  await db.setMembership({ organization: "beta", login: "alice", role: "viewer", nowMs: NOW_MS });
  await db.setMembership({ organization: ORG, login: "alice", role: "admin", nowMs: NOW_MS });
  const common = { createdBy: "alice", expiresMs: null, nowMs: NOW_MS };
  const person = (id: string, expiresMs: number | null = null, login = "alice") =>
    db.createToken({
      ...common,
      ...{ id, tokenHash: `hash ${id}`, name: `name ${id}`, kind: "person", login },
      ...{ organization: null, role: null, expiresMs },
    });
  const machine = (id: string, organization = ORG) =>
    db.createToken({
      ...common,
      ...{ id, tokenHash: `hash ${id}`, name: `name ${id}`, kind: "machine", login: null },
      ...{ organization, role: "member" },
    });
  return { db, person, machine };
}

export function describeTokens(make: MakeDatabase): void {
  describe("tokens", () => {
    it("tells whom a person's token stands for", async () => {
      const { db, person } = await withAlice(make);
      expect(await person("t1", NOW_MS + 10)).toBe("created");
      expect(await db.findIdentity("hash t1", NOW_MS)).toEqual({
        tokenId: "t1",
        tokenName: "name t1",
        kind: "person",
        login: "alice",
        name: "Alice",
        email: "a@x",
        expiresMs: NOW_MS + 10,
        memberships: [
          { organization: ORG, role: "admin" },
          { organization: "beta", role: "viewer" },
        ],
        stackId: null,
      });
      expect(await db.findIdentity("other", NOW_MS)).toBeNull();
    });

    it("tells whom a machine's token stands for", async () => {
      const { db, machine } = await withAlice(make);
      expect(await machine("t1")).toBe("created");
      expect(await db.findIdentity("hash t1", NOW_MS)).toMatchObject({
        kind: "machine",
        login: ORG,
        tokenName: "name t1",
        memberships: [{ organization: ORG, role: "member" }],
      });
    });

    it("refuses tokens for whom there isn't", async () => {
      const { person, machine } = await withAlice(make);
      expect(await person("t1", null, "nobody")).toBe("no_user");
      expect(await machine("t2", "none")).toBe("no_organization");
    });

    it("ends a token at its very millisecond", async () => {
      const { db, person } = await withAlice(make);
      await person("t1", NOW_MS + 10);
      expect(await db.findIdentity("hash t1", NOW_MS + 9)).not.toBeNull();
      expect(await db.findIdentity("hash t1", NOW_MS + 10)).toBeNull();
    });

    it("revokes once, and nobody is let in after the answer", async () => {
      const { db, person } = await withAlice(make);
      await person("t1");
      const racers = Array.from({ length: 20 }, () => db.findIdentity("hash t1", NOW_MS));
      expect(await db.revokeToken({ id: "t1", nowMs: NOW_MS })).toBe("revoked");
      expect(await db.findIdentity("hash t1", NOW_MS)).toBeNull();
      await Promise.all(racers);
      expect(await db.revokeToken({ id: "t1", nowMs: NOW_MS + 5 })).toBe("already_revoked");
      expect(await db.revokeToken({ id: "none", nowMs: NOW_MS })).toBe("absent");
      expect((await db.listTokens({}, page(9)))[0]?.revokedMs).toBe(NOW_MS);
    });

    it("lists by id, of a person, of an organization or all, in pages", async () => {
      const { db, person, machine } = await withAlice(make);
      for (const id of ["t3", "t1"]) await person(id);
      await machine("t2");
      await machine("t4", "beta");
      const ids = async (
        filter: Parameters<typeof db.listTokens>[0],
        limit = 9,
        after: string | null = null,
      ) => (await db.listTokens(filter, page(limit, after))).map((token) => token.id);
      expect(await ids({})).toEqual(["t1", "t2", "t3", "t4"]);
      expect(await ids({}, 2, "t1")).toEqual(["t2", "t3"]);
      expect(await ids({ login: "alice" })).toEqual(["t1", "t3"]);
      expect(await ids({ login: "alice" }, 9, "t1")).toEqual(["t3"]);
      expect(await ids({ organization: ORG })).toEqual(["t2"]);
      expect(await ids({ login: "nobody" })).toEqual([]);
      expect((await db.listTokens({ organization: ORG }, page(9)))[0]).toEqual({
        ...{ id: "t2", name: "name t2", kind: "machine", login: null, organization: ORG, role: "member" },
        ...{
          stackId: null,
          createdMs: NOW_MS,
          createdBy: "alice",
          expiresMs: null,
          lastUsedMs: null,
          revokedMs: null,
        },
      });
    });

    it("notes the latest use and ignores unknown ids", async () => {
      const { db, person } = await withAlice(make);
      await person("t1");
      await db.touchTokens([
        { id: "t1", usedMs: NOW_MS + 5 },
        { id: "none", usedMs: NOW_MS },
      ]);
      await db.touchTokens([{ id: "t1", usedMs: NOW_MS + 2 }]);
      expect((await db.listTokens({}, page(9)))[0]?.lastUsedMs).toBe(NOW_MS + 5);
    });

    it("loses a user's tokens and memberships with the user", async () => {
      const { db, person } = await withAlice(make);
      await person("t1");
      await db.deleteUser({ login: "alice" });
      expect(await db.findIdentity("hash t1", NOW_MS)).toBeNull();
      expect(await db.listMembers(ORG, page(9))).toEqual([]);
    });

    it("removes what ended before the moment, in batches, and counts first when asked", async () => {
      const { db, person } = await withAlice(make);
      await person("t1", NOW_MS + 10);
      await person("t2", NOW_MS + 90);
      await person("t3");
      await person("t4", NOW_MS + 90);
      await db.revokeToken({ id: "t4", nowMs: NOW_MS + 20 });
      const sweep = (limit: number, dryRun: boolean, endedBeforeMs = NOW_MS + 21) =>
        db.removeEndedTokens({ endedBeforeMs, limit, dryRun });
      expect(await sweep(9, false, NOW_MS + 10)).toBe(0);
      expect(await sweep(9, true)).toBe(2);
      expect(await sweep(1, false)).toBe(1);
      expect(await sweep(9, false)).toBe(1);
      expect((await db.listTokens({}, page(9))).map((token) => token.id)).toEqual(["t2", "t3"]);
    });
  });
}
