import { describe, expect, it } from "vitest";
import { startWithPeople } from "./support.ts";

describe("audit events", () => {
  it("say who did what to which thing, when and from where", async () => {
    const api = await startWithPeople();
    api.advance(1000);
    await api.send("PUT", "/organizations/acme/members/alice", { role: "viewer" });
    const { body } = await api.send("GET", "/audit-events?limit=1");
    expect(body.items).toEqual([
      {
        id: expect.any(String),
        at: "2026-03-01T12:00:01.000Z",
        actor: "admin",
        action: "member.set",
        organization: "acme",
        target: "alice (viewer)",
        sourceIp: expect.stringContaining("127.0.0.1"),
      },
    ]);
  });

  it("tell of a machine's token to those who look at its organization", async () => {
    const api = await startWithPeople();
    const owner = { organization: "acme", role: "member" };
    const made = await api.send("POST", "/tokens", { name: "ci", ...owner });
    expect(made).toMatchObject({ status: 201 });
    const { id } = made.body;
    expect(await api.send("DELETE", `/tokens/${id}`)).toMatchObject({ status: 204 });
    const { body } = await api.send("GET", "/audit-events?organization=acme&limit=2");
    expect(body.items).toMatchObject([
      { action: "token.revoke", target: id, organization: "acme" },
      { action: "token.create", organization: "acme" },
    ]);
  });

  it("are told apart by organization", async () => {
    const api = await startWithPeople();
    await api.send("POST", "/organizations", { name: "other" });
    const { body } = await api.send("GET", "/audit-events?organization=other");
    expect(body.items).toMatchObject([{ action: "organization.create", target: "other" }]);
  });

  it("keep the order of what happened within one millisecond", async () => {
    const api = await startWithPeople();
    const names = Array.from({ length: 20 }, (_, i) => `org-${String(i).padStart(2, "0")}`);
    for (const name of names) await api.send("POST", "/organizations", { name });
    const { body } = await api.send("GET", "/audit-events?limit=20");
    expect(body.items?.map((it) => it.target)).toEqual(names.toReversed());
  });

  it("are not written for what was refused", async () => {
    const api = await startWithPeople();
    const before = (await api.send("GET", "/audit-events")).body;
    await api.send("POST", "/organizations", { name: "acme" });
    await api.send("DELETE", "/users/nobody");
    await api.send("POST", "/tokens", { name: "x", user: "nobody" });
    await api.send("PUT", "/organizations/acme/members/nobody", { role: "viewer" });
    expect((await api.send("GET", "/audit-events")).body).toEqual(before);
  });
});
