import { describe, expect, it } from "vitest";
import { auditActions, makeUpdate, shareWithPeople, startAdminApi, startWithPeople } from "./support.ts";

const shared = shareWithPeople();

describe("organizations", () => {
  it("are created, looked up and deleted", async () => {
    const api = await startAdminApi();
    const created = await api.send("POST", "/organizations", { name: "acme" });
    expect(created).toMatchObject({
      status: 201,
      body: { name: "acme", createdAt: "2026-03-01T12:00:00.000Z" },
    });
    expect((await api.send("GET", "/organizations/acme")).body).toEqual(created.body);
    expect((await api.send("GET", "/organizations")).body).toEqual({ items: [created.body] });
    expect(await api.send("DELETE", "/organizations/acme")).toMatchObject({ status: 204 });
    expect(await api.send("GET", "/organizations/acme")).toMatchObject({
      status: 404,
      body: { message: "Organization not found" },
    });
    expect(await api.send("DELETE", "/organizations/acme")).toMatchObject({ status: 404 });
    expect(await auditActions(api)).toEqual(["organization.delete", "organization.create"]);
  });

  it("have a name of their own", async () => {
    const api = await startWithPeople();
    expect(await api.send("POST", "/organizations", { name: "acme" })).toMatchObject({
      status: 409,
      body: { message: "An organization of this name already exists" },
    });
  });

  it("stay as long as they have stacks", async () => {
    const api = await startWithPeople();
    await makeUpdate(api, { isStarted: false });
    expect(await api.send("DELETE", "/organizations/acme")).toMatchObject({ status: 409 });
    expect(await api.send("GET", "/organizations/acme")).toMatchObject({ status: 200 });
  });

  it.each([
    { what: "a name that is too short", body: { name: "ab" } },
    { what: "a name that is too long", body: { name: "a".repeat(41) } },
    { what: "a name that climbs", body: { name: "../etc" } },
    { what: "a name that isn't text", body: { name: 7 } },
    { what: "no name", body: {} },
    { what: "a field that nobody knows", body: { name: "other", plan: "gold" } },
    { what: "a list", body: [] },
  ])("refuse $what", async ({ body }) => {
    const api = shared();
    expect(await api.send("POST", "/organizations", body)).toMatchObject({ status: 400 });
    expect((await api.send("GET", "/organizations")).body.items).toMatchObject([{ name: "acme" }]);
  });

  it.each([
    "/organizations/ab",
    "/organizations/a%2Fb%2Fc",
    "/organizations/%00%00%00",
    "/organizations/%zz",
  ])("answer the path %s with 400", async (path) => {
    const api = shared();
    expect(await api.send("GET", path)).toMatchObject({ status: 400 });
  });
});
