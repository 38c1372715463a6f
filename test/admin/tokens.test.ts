import { describe, expect, it } from "vitest";
import { hashToken } from "../../server/crypto/token-hash.ts";
import { auditActions, shareWithPeople, startWithPeople, type TestApi } from "./support.ts";

const PERSONS = { name: "laptop", user: "alice" };
const MACHINES = { name: "ci", organization: "acme", role: "member" };

async function identityOf(api: TestApi, token: string | undefined) {
  return api.ctx.db.findIdentity(hashToken(token ?? ""), api.ctx.nowMs());
}

const shared = shareWithPeople();

describe("tokens", () => {
  it("of a person do what the person may", async () => {
    const api = await startWithPeople();
    await api.send("PUT", "/organizations/acme/members/alice", { role: "viewer" });
    const { status, body } = await api.send("POST", "/tokens", PERSONS);
    expect(status).toBe(201);
    expect(body).toMatchObject({ kind: "person", user: "alice", organization: null, role: null });
    expect(body).toMatchObject({ createdBy: "admin", expiresAt: null, revokedAt: null, lastUsedAt: null });
    expect(await identityOf(api, body.token)).toMatchObject({
      tokenId: body.id,
      login: "alice",
      memberships: [{ organization: "acme", role: "viewer" }],
    });
  });

  it("of a machine have a role of their own", async () => {
    const api = await startWithPeople();
    const { body } = await api.send("POST", "/tokens", MACHINES);
    expect(body).toMatchObject({ kind: "machine", user: null, organization: "acme", role: "member" });
    expect(await identityOf(api, body.token)).toMatchObject({
      kind: "machine",
      login: "acme",
      memberships: [{ organization: "acme", role: "member" }],
    });
  });

  it("are shown once and stored as a hash", async () => {
    const api = await startWithPeople();
    const { body } = await api.send("POST", "/tokens", PERSONS);
    const secret = body.token ?? "";
    expect(secret).toMatch(/^sth_[A-Za-z0-9_-]{43}$/);
    const lists = ["/tokens", "/audit-events"].map(async (path) => (await api.send("GET", path)).body);
    const shown = JSON.stringify(await Promise.all(lists));
    expect(shown).toContain(body.id);
    expect(shown).not.toContain(secret);
    expect(shown).not.toContain(hashToken(secret));
  });

  it("are never the same twice", async () => {
    const api = await startWithPeople();
    const made = await Promise.all([1, 2, 3].map(() => api.send("POST", "/tokens", PERSONS)));
    expect(new Set(made.map((it) => it.body.token)).size).toBe(3);
  });

  it("end when they expire, to the millisecond", async () => {
    const api = await startWithPeople();
    const { body } = await api.send("POST", "/tokens", { ...PERSONS, expiresInSeconds: 60 });
    expect(body.expiresAt).toBe("2026-03-01T12:01:00.000Z");
    api.advance(59_999);
    expect(await identityOf(api, body.token)).not.toBeNull();
    api.advance(1);
    expect(await identityOf(api, body.token)).toBeNull();
  });

  it("end when they are revoked, and once is enough", async () => {
    const api = await startWithPeople();
    const { body } = await api.send("POST", "/tokens", PERSONS);
    for (let i = 0; i < 2; i++) {
      expect(await api.send("DELETE", `/tokens/${body.id}`)).toMatchObject({ status: 204 });
    }
    expect(await identityOf(api, body.token)).toBeNull();
    expect((await api.send("GET", "/tokens")).body.items).toMatchObject([
      { id: body.id, revokedAt: "2026-03-01T12:00:00.000Z" },
    ]);
    expect((await auditActions(api)).filter((it) => it === "token.revoke")).toHaveLength(1);
  });

  it("can't be revoked by an id that never was", async () => {
    const api = await startWithPeople();
    expect(await api.send("DELETE", "/tokens/nothing")).toMatchObject({
      status: 404,
      body: { message: "Token not found" },
    });
  });

  it("are listed by owner", async () => {
    const api = await startWithPeople();
    const person = await api.send("POST", "/tokens", PERSONS);
    const machine = await api.send("POST", "/tokens", MACHINES);
    const idsOf = async (query: string) =>
      ((await api.send("GET", `/tokens${query}`)).body.items ?? []).map((it) => it.id);
    expect(new Set(await idsOf(""))).toEqual(new Set([person.body.id, machine.body.id]));
    expect(await idsOf("?user=alice")).toEqual([person.body.id]);
    expect(await idsOf("?organization=acme")).toEqual([machine.body.id]);
    expect(await idsOf("?user=nobody")).toEqual([]);
    expect(await idsOf("?user=alice&organization=acme")).toEqual([]);
  });

  it("go with their organization", async () => {
    const api = await startWithPeople();
    const { body } = await api.send("POST", "/tokens", MACHINES);
    await api.send("DELETE", "/organizations/acme");
    expect(await identityOf(api, body.token)).toBeNull();
  });

  it.each([
    { body: { ...PERSONS, user: "nobody" }, message: "User not found" },
    { body: { ...PERSONS, user: "admin" }, message: "User not found" },
    { body: { ...MACHINES, organization: "nobody" }, message: "Organization not found" },
  ])("are not made for $body", async ({ body, message }) => {
    const api = shared();
    expect(await api.send("POST", "/tokens", body)).toMatchObject({ status: 404, body: { message } });
  });

  it.each([
    { what: "both owners", body: { ...PERSONS, ...MACHINES } },
    { what: "a person with a role", body: { ...PERSONS, role: "admin" } },
    { what: "a person with an organization", body: { ...PERSONS, organization: "acme" } },
    { what: "no owner", body: { name: "x" } },
    { what: "a machine without a role", body: { name: "x", organization: "acme" } },
    { what: "a machine without an organization", body: { name: "x", role: "admin" } },
    { what: "no name", body: { user: "alice" } },
    { what: "no time at all", body: { ...PERSONS, expiresInSeconds: 0 } },
    { what: "half a second", body: { ...PERSONS, expiresInSeconds: 0.5 } },
    { what: "more than ten years", body: { ...PERSONS, expiresInSeconds: 315_360_001 } },
    { what: "a time as text", body: { ...PERSONS, expiresInSeconds: "60" } },
    { what: "a token of the caller's choice", body: { ...PERSONS, token: "sth_mine" } },
  ])("are refused for $what", async ({ body }) => {
    const api = shared();
    const answer = await api.send("POST", "/tokens", body);
    expect(answer).toMatchObject({ status: 400 });
    expect(answer.body.message).not.toContain("sth_mine");
    expect((await api.send("GET", "/tokens")).body).toEqual({ items: [] });
  });

  it("wake the sweep when they end", async () => {
    const api = await startWithPeople();
    api.ctx.deadlines.reset(null);
    await api.send("POST", "/tokens", { ...PERSONS, expiresInSeconds: 60 });
    expect(api.ctx.deadlines.nextMs).toBe(api.ctx.nowMs() + 60_000);
  });
});
