import { describe, expect, it } from "vitest";
import { auditActions, shareWithPeople, startAdminApi, startWithPeople } from "./support.ts";

const shared = shareWithPeople();

describe("users", () => {
  it("are created, changed and deleted", async () => {
    const api = await startAdminApi();
    const created = await api.send("POST", "/users", { login: "bob" });
    expect(created).toMatchObject({ status: 201, body: { login: "bob", name: "bob", email: "" } });
    expect((await api.send("GET", "/users/bob")).body).toEqual(created.body);
    const changed = await api.send("PATCH", "/users/bob", { name: "Bob Ross" });
    expect(changed.body).toEqual({ ...created.body, name: "Bob Ross" });
    await api.send("PATCH", "/users/bob", { email: "bob@example.com" });
    expect((await api.send("GET", "/users")).body).toEqual({
      items: [{ ...created.body, name: "Bob Ross", email: "bob@example.com" }],
    });
    expect(await api.send("DELETE", "/users/bob")).toMatchObject({ status: 204 });
    expect((await api.send("GET", "/users")).body).toEqual({ items: [] });
    expect(await auditActions(api)).toEqual(["user.delete", "user.update", "user.update", "user.create"]);
  });

  it("have a login of their own", async () => {
    const api = await startWithPeople();
    expect(await api.send("POST", "/users", { login: "alice" })).toMatchObject({ status: 409 });
  });

  it("never are the built-in administrator", async () => {
    const api = await startAdminApi();
    expect(await api.send("POST", "/users", { login: "admin" })).toMatchObject({ status: 409 });
    expect(await api.send("GET", "/users/admin")).toMatchObject({ status: 404 });
  });

  it.each([
    { method: "GET", body: undefined },
    { method: "PATCH", body: { name: "Nobody" } },
    { method: "DELETE", body: undefined },
  ])("answer $method of an unknown login with 404", async ({ method, body }) => {
    const api = shared();
    expect(await api.send(method, "/users/nobody", body)).toMatchObject({
      status: 404,
      body: { message: "User not found" },
    });
  });

  it.each([
    { what: "a login with a dot", body: { login: "a.b.c" } },
    { what: "an e-mail address that is none", body: { login: "bob", email: "bob" } },
    { what: "an empty name", body: { login: "bob", name: "" } },
    { what: "a name of two lines", body: { login: "bob", name: "a\nb" } },
    { what: "a name with half a surrogate", body: { login: "bob", name: "\ud800" } },
  ])("refuse $what", async ({ body }) => {
    const api = shared();
    expect(await api.send("POST", "/users", body)).toMatchObject({ status: 400 });
  });

  it("refuse a change of nothing, and of the login", async () => {
    const api = await startWithPeople();
    expect(await api.send("PATCH", "/users/alice", {})).toMatchObject({ status: 400 });
    expect(await api.send("PATCH", "/users/alice", { login: "eve" })).toMatchObject({ status: 400 });
  });

  it("lose their tokens with themselves", async () => {
    const api = await startWithPeople();
    const { body } = await api.send("POST", "/tokens", { name: "laptop", user: "alice" });
    await api.send("DELETE", "/users/alice");
    expect(await api.send("GET", "/status", undefined, { token: body.token ?? "" })).toMatchObject({
      status: 401,
    });
  });
});
