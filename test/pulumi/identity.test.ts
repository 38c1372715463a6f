import { beforeAll, describe, expect, it } from "vitest";
import { send } from "../support/client.ts";
import { ADMIN_TOKEN, ORG, shareTestServer, startTestServer } from "../support/server.ts";

const server = shareTestServer();
let alice = "";
let machine = "";
let stranger = "";

const admin = (method: string, path: string, body: unknown) =>
  send(server(), method, `/api/admin/v1${path}`, body);

beforeAll(async () => {
  await admin("POST", "/organizations", { name: "acme" });
  await admin("POST", "/users", { login: "alice", name: "Alice", email: "alice@example.com" });
  await admin("POST", "/users", { login: "stranger" });
  await admin("PUT", "/organizations/acme/members/alice", { role: "viewer" });
  const token = async (body: unknown) => (await admin("POST", "/tokens", body)).body.token as string;
  alice = await token({ name: "laptop", user: "alice" });
  stranger = await token({ name: "laptop", user: "stranger" });
  machine = await token({ name: "ci", organization: "acme", role: "member" });
});

const get = (path: string, token: string | null) => send(server(), "GET", path, undefined, { token });

describe("who the CLI is signed in as", () => {
  it("is the user of the token, with the organizations they belong to", async () => {
    const { status, body } = await get("/api/user", alice);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      githubLogin: "alice",
      name: "Alice",
      email: "alice@example.com",
      organizations: [{ githubLogin: "acme", name: "acme" }],
      siteAdmin: false,
    });
    // With a name alone the CLI would call the token's type unknown.
    expect(body.tokenInfo).toBeUndefined();
    expect(body.id).toMatch(/./);
  });

  it("is an owner name for a machine too", async () => {
    const { body } = await get("/api/user", machine);
    expect(body.githubLogin).toMatch(/^[a-zA-Z0-9][a-zA-Z0-9-_]{1,38}[a-zA-Z0-9]$/);
    expect(body.tokenInfo).toMatchObject({ name: "ci", organization: "acme" });
  });

  it("is `admin`, of every organization, for the admin token", async () => {
    const { body } = await get("/api/user", ADMIN_TOKEN);
    expect(body).toMatchObject({ githubLogin: "admin", siteAdmin: true });
    const names = body.organizations.map((it: { githubLogin: string }) => it.githubLogin);
    expect(names.sort()).toEqual(["acme", ORG]);
  });

  it.each([
    { who: "nobody", headers: {} },
    { who: "an unknown token", headers: { authorization: "token nope" } },
    { who: "no token behind the scheme", headers: { authorization: "token " } },
    { who: "another scheme", headers: { authorization: `Basic ${btoa("a:b")}` } },
    { who: "a lease token", headers: { authorization: "update-token lease_x" } },
  ])("is refused with 401 for $who", async ({ headers }) => {
    const answer = await send(server(), "GET", "/api/user", undefined, { token: null, headers });
    expect(answer).toMatchObject({ status: 401, body: { code: 401, message: expect.any(String) } });
  });

  it.each(["token", "Token", "Bearer", "bearer"])("is taken from the scheme %s", async (scheme) => {
    const headers = { authorization: `${scheme} ${alice}` };
    const answer = await send(server(), "GET", "/api/user", undefined, { token: null, headers });
    expect(answer).toMatchObject({ status: 200, body: { githubLogin: "alice" } });
  });
});

describe("the default organization", () => {
  it.each([
    { who: "a member of another one alone: that one", token: () => alice, expected: "acme" },
    { who: "a machine: its own", token: () => machine, expected: "acme" },
    { who: "the admin: the configured one", token: () => ADMIN_TOKEN, expected: ORG },
    { who: "a user of none: nothing, and no failure", token: () => stranger, expected: "" },
  ])("is, for $who", async ({ token, expected }) => {
    const answer = await get("/api/user/organizations/default", token());
    expect(answer).toMatchObject({ status: 200, body: { gitHubLogin: expected } });
  });
});

describe("capabilities", () => {
  it("are told to anybody, with the configuration that the CLI demands", async () => {
    const { status, body } = await get("/api/capabilities", null);
    expect(status).toBe(200);
    expect(body).toEqual({
      capabilities: [
        { capability: "batch-encrypt" },
        { capability: "deployment-schema-version", version: 1, configuration: { version: 4 } },
      ],
    });
  });

  it("have delta checkpoints when the setting says so", async () => {
    const env = { STATEHOUSE_DELTA_CHECKPOINTS: "true", STATEHOUSE_DELTA_CUTOFF_BYTES: "0" };
    const other = await startTestServer({ env });
    const { body } = await send(other, "GET", "/api/capabilities");
    expect(body.capabilities).toContainEqual({
      capability: "delta-checkpoint-uploads-v2",
      version: 2,
      configuration: { checkpointCutoffSizeBytes: 0 },
    });
  });
});

describe("what ordinary commands also ask for", () => {
  it.each([
    { path: "/api/registry/templates?limit=499&name=&orgLogin=&search=", body: { templates: [] } },
    { path: "/api/registry/packages?limit=499&name=aws", body: { packages: [] } },
    {
      path: "/api/orgs/acme/templates",
      body: { templates: {}, orgHasTemplates: false, hasAccessError: false, hasUpstreamError: false },
    },
  ])("is there: $path", async ({ path, body }) => {
    expect(await get(path, alice)).toMatchObject({ status: 200, body });
  });

  it.each([
    "/api/registry/packages/pulumi/pulumi/aws/versions/latest",
    "/api/registry/templates/private/acme/x/versions/1.0.0",
  ])("is not found, in JSON: %s", async (path) => {
    expect(await get(path, alice)).toMatchObject({ status: 404, body: { code: 404 } });
  });

  it("lists the members of an organization to its members alone", async () => {
    const { status, body } = await get("/api/orgs/acme/members", alice);
    expect(status).toBe(200);
    expect(body.members).toMatchObject([
      { role: "viewer", user: { githubLogin: "alice", name: "Alice", email: "alice@example.com" } },
    ]);
    expect(body).not.toHaveProperty("continuationToken");
    expect(await get("/api/orgs/acme/members", stranger)).toMatchObject({ status: 404, body: { code: 404 } });
    expect(await get("/api/orgs/none/members", ADMIN_TOKEN)).toMatchObject({ status: 404 });
  });
});
