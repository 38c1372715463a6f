import { describe, expect, it } from "vitest";
import { Fixture, type MakeDatabase, NOW_MS, ORG, page, tally, times } from "./support.ts";

export function describePeople(make: MakeDatabase): void {
  describe("organizations", () => {
    it("creates one of a name, finds it and says when a name is taken", async () => {
      const { db } = await make();
      expect(await db.createOrganization({ id: "o1", name: "acme", nowMs: NOW_MS })).toBe("created");
      expect(await db.createOrganization({ id: "o2", name: "acme", nowMs: NOW_MS })).toBe("name_taken");
      expect(await db.createOrganization({ id: "o3", name: "Acme", nowMs: NOW_MS })).toBe("created");
      expect(await db.findOrganization("acme")).toEqual({ id: "o1", name: "acme", createdMs: NOW_MS });
      expect(await db.findOrganization("ACME")).toBeNull();
    });

    it("lists by name in pages", async () => {
      const { db } = await make();
      for (const name of ["c", "a", "b"]) await db.createOrganization({ id: `o-${name}`, name, nowMs: 1 });
      const names = async (limit: number, after: string | null) =>
        (await db.listOrganizations(page(limit, after))).map((organization) => organization.name);
      expect(await names(2, null)).toEqual(["a", "b"]);
      expect(await names(2, "b")).toEqual(["c"]);
      expect(await names(2, "c")).toEqual([]);
    });

    it("deletes one without stacks, and its memberships and machine tokens with it", async () => {
      const fixture = await Fixture.withStack(make);
      const { db } = fixture;
      await db.createUser({ id: "u1", login: "alice", name: "Alice", email: "", nowMs: NOW_MS });
      await db.setMembership({ organization: ORG, login: "alice", role: "admin", nowMs: NOW_MS });
      const token = { name: "ci", kind: "machine", login: null, organization: ORG, role: "member" } as const;
      const rest = { createdBy: "alice", expiresMs: null, nowMs: NOW_MS };
      await db.createToken({ id: "t1", tokenHash: "h1", ...token, ...rest });
      expect(await db.deleteOrganization({ name: ORG, nowMs: NOW_MS })).toBe("has_stacks");
      await db.deleteStack({ stackId: "s-dev", force: false, nowMs: NOW_MS });
      expect(await db.deleteOrganization({ name: ORG, nowMs: NOW_MS })).toBe("deleted");
      expect(await db.deleteOrganization({ name: ORG, nowMs: NOW_MS })).toBe("absent");
      expect(await db.findIdentity("h1", NOW_MS)).toBeNull();
      expect(await db.listTokens({}, page(10))).toEqual([]);
      expect(await db.findUser("alice")).not.toBeNull();
      expect(await db.listDeletedStacks(10)).toEqual(["s-dev"]);
    });

    it("lets exactly one of many creators win", async () => {
      const { db } = await make();
      const create = (i: number) => db.createOrganization({ id: `o${i}`, name: "acme", nowMs: NOW_MS });
      expect(tally(await times(20, create))).toEqual({ created: 1, name_taken: 19 });
    });
  });

  describe("users", () => {
    it("creates, finds, changes and deletes", async () => {
      const { db } = await make();
      const alice = { id: "u1", login: "alice", name: "Alice", email: "a@example.com" };
      expect(await db.createUser({ ...alice, nowMs: NOW_MS })).toBe("created");
      expect(await db.createUser({ ...alice, id: "u2", nowMs: NOW_MS })).toBe("login_taken");
      expect(await db.findUser("alice")).toEqual({ ...alice, createdMs: NOW_MS });
      expect(await db.updateUser({ login: "alice", name: "Alice B." })).toBe("updated");
      expect(await db.updateUser({ login: "alice" })).toBe("updated");
      expect(await db.updateUser({ login: "nobody", name: "x" })).toBe("absent");
      expect(await db.findUser("alice")).toMatchObject({ name: "Alice B.", email: "a@example.com" });
      expect(await db.deleteUser({ login: "alice" })).toBe("deleted");
      expect(await db.deleteUser({ login: "alice" })).toBe("absent");
      expect(await db.findUser("alice")).toBeNull();
    });

    it("lists by login in pages", async () => {
      const { db } = await make();
      for (const login of ["carol", "alice", "bob"])
        await db.createUser({ id: login, login, name: "", email: "", nowMs: 1 });
      const logins = async (after: string | null) =>
        (await db.listUsers(page(2, after))).map((user) => user.login);
      expect(await logins(null)).toEqual(["alice", "bob"]);
      expect(await logins("bob")).toEqual(["carol"]);
    });
  });

  describe("memberships", () => {
    it("sets, changes, lists and removes", async () => {
      const { db } = await Fixture.make(make);
      for (const login of ["bob", "alice"])
        await db.createUser({ id: login, login, name: login, email: `${login}@x`, nowMs: 1 });
      const set = (organization: string, login: string, role: "viewer" | "admin") =>
        db.setMembership({ organization, login, role, nowMs: NOW_MS });
      expect(await set(ORG, "bob", "viewer")).toBe("set");
      expect(await set(ORG, "bob", "admin")).toBe("set");
      expect(await set(ORG, "alice", "viewer")).toBe("set");
      expect(await set("none", "bob", "viewer")).toBe("no_organization");
      expect(await set(ORG, "nobody", "viewer")).toBe("no_user");
      const member = (login: string, role: string) => ({ login, name: login, email: `${login}@x`, role });
      expect(await db.listMembers(ORG, page(1))).toEqual([
        { ...member("alice", "viewer"), createdMs: NOW_MS },
      ]);
      expect(await db.listMembers(ORG, page(9, "alice"))).toEqual([
        { ...member("bob", "admin"), createdMs: NOW_MS },
      ]);
      expect(await db.listMembers("none", page(9))).toBeNull();
      expect(await db.removeMembership({ organization: ORG, login: "bob" })).toBe("removed");
      expect(await db.removeMembership({ organization: ORG, login: "bob" })).toBe("absent");
      expect(await db.removeMembership({ organization: "none", login: "alice" })).toBe("absent");
    });
  });
}
