/** Nobody but the holder of the admin token gets anywhere, and bad bodies get nowhere either. */
import { describe, expect, it } from "vitest";
import { ADMIN_TOKEN, shareWithPeople, startAdminApi, startWithPeople } from "./support.ts";

const ENV = { STATEHOUSE_AUTH_FAILURES_PER_MINUTE: "100000" };

const shared = shareWithPeople();

describe("the admin API", () => {
  it("refuses every endpoint without the admin token, and changes nothing", async () => {
    const api = await startWithPeople(ENV);
    await api.send("PUT", "/organizations/acme/members/alice", { role: "admin" });
    const person = await api.send("POST", "/tokens", { name: "laptop", user: "alice" });
    const machine = await api.send("POST", "/tokens", { name: "ci", organization: "acme", role: "admin" });
    const ended = await api.send("POST", "/tokens", { name: "old", user: "alice" });
    await api.send("DELETE", `/tokens/${ended.body.id}`);
    const before = (await api.send("GET", "/audit-events")).body;
    const callers: readonly { who: string; token: string | null; status: number }[] = [
      { who: "nobody", token: null, status: 401 },
      { who: "a guesser", token: "sth_guess", status: 401 },
      { who: "a revoked token", token: ended.body.token ?? "", status: 401 },
      { who: "an organization's admin", token: person.body.token ?? "", status: 403 },
      { who: "a machine with the admin role", token: machine.body.token ?? "", status: 403 },
    ];
    const closed = api.operations.filter((it) => it.requirement.kind !== "open");
    for (const { method, path } of closed) {
      const filled = path.replace("/api/admin/v1", "").replace(/:(organization|login)/g, "acme");
      for (const { who, token, status } of callers) {
        const answer = await api.send(method.toUpperCase(), filled.replace(/:\w+/g, "some-id"), undefined, {
          token,
        });
        expect(answer.status, `${method} ${path} by ${who}`).toBe(status);
      }
    }
    expect((await api.send("GET", "/audit-events")).body).toEqual(before);
  });

  it("leaves open the document alone", async () => {
    const { operations } = await startAdminApi();
    const open = operations.filter((it) => it.requirement.kind === "open").map((it) => it.operationId);
    expect(open).toEqual(["getOpenApi"]);
  });

  it("says nothing about the body of somebody who isn't signed in", async () => {
    const api = await startAdminApi();
    expect(await api.send("POST", "/tokens", { bad: true }, { token: null })).toMatchObject({ status: 401 });
  });

  it("makes whoever guesses wait", async () => {
    const api = await startAdminApi({ STATEHOUSE_AUTH_FAILURES_PER_MINUTE: "2" });
    for (const token of ["one", "two"]) {
      expect(await api.send("GET", "/status", undefined, { token })).toMatchObject({ status: 401 });
    }
    const { status, headers } = await api.send("GET", "/status", undefined, { token: "three" });
    expect(status).toBe(429);
    expect(headers.get("retry-after")).toBe("60");
  });

  it("takes the token as a bearer, too", async () => {
    const api = await startAdminApi();
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    expect(await api.send("GET", "/status", undefined, { token: null, headers })).toMatchObject({
      status: 200,
    });
  });

  it("answers what it doesn't have with 404", async () => {
    const api = await startAdminApi();
    expect(await api.send("GET", "/nothing")).toMatchObject({ status: 404 });
    expect(await api.send("PATCH", "/organizations/acme", {})).toMatchObject({ status: 404 });
  });
});

describe("a body", () => {
  it.each([
    { what: "cut off", rawBody: '{"name":"ac', status: 400 },
    { what: "too deep", rawBody: "[".repeat(600), status: 400 },
    { what: "too large", rawBody: `{"name":"${"a".repeat(1024 * 1024)}"}`, status: 413 },
    {
      what: "packed in another way",
      rawBody: "{}",
      status: 415,
      headers: { "content-encoding": "br" },
    },
    { what: "no gzip", rawBody: "{}", status: 400, headers: { "content-encoding": "gzip" } },
  ])("that is $what is answered with $status", async ({ rawBody, status, headers = {} }) => {
    const api = shared();
    expect(await api.send("POST", "/organizations", undefined, { rawBody, headers })).toMatchObject({
      status,
    });
  });

  it("is never quoted in a refusal", async () => {
    const api = await startAdminApi();
    const { body } = await api.send("POST", "/users", { login: "hunter2!", name: 7, hunter3: "x" });
    expect(body.message).not.toContain("hunter2");
  });
});
