import { describe, expect, it } from "vitest";
import { hashToken } from "../../server/crypto/token-hash.ts";
import { auditActions, shareWithPeople, startWithPeople } from "./support.ts";

const ALICE = "/organizations/acme/members/alice";

const shared = shareWithPeople();

describe("members", () => {
  it("are added, change their role and leave", async () => {
    const api = await startWithPeople();
    for (const role of ["viewer", "admin"]) {
      expect((await api.send("PUT", ALICE, { role })).body).toEqual({
        organization: "acme",
        login: "alice",
        role,
      });
    }
    expect((await api.send("GET", "/organizations/acme/members")).body).toEqual({
      items: [
        {
          login: "alice",
          name: "alice",
          email: "alice@example.com",
          role: "admin",
          createdAt: "2026-03-01T12:00:00.000Z",
        },
      ],
    });
    expect(await api.send("DELETE", ALICE)).toMatchObject({ status: 204 });
    expect(await api.send("DELETE", ALICE)).toMatchObject({ status: 404 });
    expect((await api.send("GET", "/organizations/acme/members")).body).toEqual({ items: [] });
    expect((await auditActions(api)).slice(0, 3)).toEqual(["member.remove", "member.set", "member.set"]);
  });

  it("may do what their role says at once", async () => {
    const api = await startWithPeople();
    const { body } = await api.send("POST", "/tokens", { name: "laptop", user: "alice" });
    await api.send("PUT", ALICE, { role: "member" });
    const identity = await api.ctx.db.findIdentity(hashToken(body.token ?? ""), api.ctx.nowMs());
    expect(identity?.memberships).toEqual([{ organization: "acme", role: "member" }]);
  });

  it.each([
    { path: "/organizations/nobody/members/alice", message: "Organization not found" },
    { path: "/organizations/acme/members/bob", message: "User not found" },
  ])("can't be set at $path", async ({ path, message }) => {
    const api = shared();
    expect(await api.send("PUT", path, { role: "viewer" })).toMatchObject({ status: 404, body: { message } });
  });

  it("are not listed for an organization that isn't there", async () => {
    const api = await startWithPeople();
    expect(await api.send("GET", "/organizations/nobody/members")).toMatchObject({ status: 404 });
  });

  it.each([{ role: "owner" }, { role: null }, {}])("refuse the role %o", async (body) => {
    const api = shared();
    expect(await api.send("PUT", ALICE, body)).toMatchObject({ status: 400 });
  });
});
