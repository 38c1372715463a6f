/** The commands that work through the admin API: what they ask, and what they say. */
import { describe, expect, it } from "vitest";
import { ADMIN_TOKEN, run, startFakeServer } from "./support.ts";

const TOKEN = "sth_0123456789";
const CREATED = { status: 201, body: { id: "t1", name: "laptop", token: TOKEN } };
const CONFLICT = { status: 409, body: { code: "USER_EXISTS", message: "The user exists" } };

/** Runs against `server` by name, as the administrator. */
async function runAt(server: { readonly url: string }, ...argv: readonly string[]) {
  return await run(argv, { STATEHOUSE_URL: server.url, STATEHOUSE_ADMIN_TOKEN: ADMIN_TOKEN });
}

/** Method, path and body, which is what the API goes by. */
function asked(server: { readonly requests: readonly { method: string; path: string; body: unknown }[] }) {
  return server.requests.map(({ method, path, body }) => {
    const short = `${method} ${path.replace("/api/admin/v1/", "")}`;
    return body === undefined ? short : `${short} ${JSON.stringify(body)}`;
  });
}

describe("token create", () => {
  it("prints the token alone, and all else on stderr", async () => {
    const server = await startFakeServer({ "POST /tokens": CREATED });
    const { code, stdout, stderr } = await runAt(
      server,
      "token",
      "create",
      "--user",
      "ada",
      "--name",
      "laptop",
    );
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${TOKEN}\n` });
    expect(stderr).toContain('Token "laptop" (id t1) for ada. It does not expire.');
    expect(stderr).toContain(`pulumi login ${server.url}\n`);
    expect(stderr).not.toContain(TOKEN);
    expect(asked(server)).toEqual(['POST tokens {"name":"laptop","user":"ada"}']);
    expect(server.requests[0]?.authorization).toBe(`token ${ADMIN_TOKEN}`);
  });

  it.each([
    ["30s", 30],
    ["2h", 7200],
    ["90d", 7_776_000],
    ["1y", 31_536_000],
  ])("turns --expires %s into %i seconds", async (text, seconds) => {
    const server = await startFakeServer({ "POST /tokens": CREATED });
    const { stderr } = await runAt(server, "token", "create", "--user", "ada", "--expires", text);
    expect(server.requests[0]?.body).toMatchObject({ expiresInSeconds: seconds });
    expect(stderr).toMatch(/It ends at \d{4}-/);
  });

  it("makes the user and the membership on request", async () => {
    const server = await startFakeServer({
      "POST /users": { status: 201, body: {} },
      "PUT /organizations/main/members/ada": { body: {} },
      "POST /tokens": CREATED,
    });
    const argv = ["token", "create", "--user", "ada", "--create-user", "--name", "x"];
    expect((await runAt(server, ...argv)).code).toBe(0);
    expect(asked(server)).toEqual([
      'POST users {"login":"ada"}',
      'PUT organizations/main/members/ada {"role":"member"}',
      'POST tokens {"name":"x","user":"ada"}',
    ]);
  });

  it("does not take a role from somebody who is there already", async () => {
    const server = await startFakeServer({
      "POST /users": CONFLICT,
      "GET /organizations/main/members?limit=100": { body: { items: [{ login: "ada", role: "admin" }] } },
      "POST /tokens": CREATED,
    });
    const { code, stderr } = await runAt(server, "token", "create", "--user", "ada", "--create-user");
    expect({ code, made: stderr.includes("Made user") }).toEqual({ code: 0, made: false });
    expect(server.requests.map(({ method }) => method)).toEqual(["POST", "GET", "POST"]);
  });

  it("gives somebody who is there the role that is asked for", async () => {
    const server = await startFakeServer({
      "POST /users": CONFLICT,
      "PUT /organizations/platform/members/ada": { body: {} },
      "POST /tokens": CREATED,
    });
    const argv = [
      "token",
      "create",
      "--user",
      "ada",
      "--create-user",
      "--role",
      "viewer",
      "--org",
      "platform",
    ];
    expect((await runAt(server, ...argv)).code).toBe(0);
    expect(asked(server)[1]).toBe('PUT organizations/platform/members/ada {"role":"viewer"}');
  });

  it("stops at the first refusal: no token for a user who could not be made", async () => {
    const refusal = { status: 400, body: { code: "INVALID_REQUEST", message: "login: 3 to 40 letters" } };
    const server = await startFakeServer({ "POST /users": refusal, "POST /tokens": CREATED });
    const { code, stdout, stderr } = await runAt(server, "token", "create", "--user", "a", "--create-user");
    expect({ code, stdout, stderr }).toEqual({
      code: 1,
      stdout: "",
      stderr: "statehouse: login: 3 to 40 letters\n",
    });
    expect(server.requests).toHaveLength(1);
  });

  it("says how to go on when there is no such user", async () => {
    const { code, stderr } = await runAt(await startFakeServer(), "token", "create", "--user", "ada");
    expect(code).toBe(1);
    expect(stderr).toBe("statehouse: There is no user ada. Add --create-user to make one.\n");
  });

  it("makes a machine's token, with the default organization and role", async () => {
    const server = await startFakeServer({ "POST /tokens": CREATED });
    const { code, stderr } = await runAt(server, "token", "create", "--machine", "--name", "ci");
    expect(code).toBe(0);
    expect(stderr).toContain("for machines of main");
    expect(asked(server)).toEqual(['POST tokens {"name":"ci","organization":"main","role":"member"}']);
  });

  it("prints all of the answer as JSON on request", async () => {
    const server = await startFakeServer({ "POST /tokens": CREATED });
    const { stdout } = await runAt(server, "token", "create", "--user", "ada", "--json");
    expect(JSON.parse(stdout)).toEqual(CREATED.body);
  });
});

describe("lists", () => {
  const ada = { login: "ada", name: "Ada \u001b[31mL.", email: "", createdAt: "2025-11-21T12:34:56.789Z" };
  const bob = { login: "bob", name: "Bob", email: "bob@example.com", createdAt: "2025-11-22T01:02:03Z" };
  const pages = {
    "GET /users?limit=100": { body: { items: [ada], nextCursor: "c/1" } },
    "GET /users?limit=100&cursor=c%2F1": { body: { items: [bob] } },
  };

  it("show all pages as one table, with nothing that steers a terminal", async () => {
    const { code, stdout } = await runAt(await startFakeServer(pages), "user", "list");
    expect(code).toBe(0);
    expect(stdout).toBe(
      [
        "LOGIN  NAME         EMAIL            CREATED",
        "ada    Ada ?[31mL.  -                2025-11-21 12:34",
        "bob    Bob          bob@example.com  2025-11-22 01:02",
        "",
      ].join("\n"),
    );
  });

  it("print JSON on request", async () => {
    const { stdout } = await runAt(await startFakeServer(pages), "user", "list", "--json");
    expect(JSON.parse(stdout)).toEqual([ada, bob]);
  });

  it("say on stderr that they are empty, and how to begin", async () => {
    const server = await startFakeServer({ "GET /tokens?user=ada&limit=100": { body: { items: [] } } });
    const { code, stdout, stderr } = await runAt(server, "token", "list", "--user", "ada");
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    expect(stderr).toContain("statehouse token create");
  });

  it("end when a server never stops paging", async () => {
    const items = Array.from({ length: 5000 }, () => ({ name: "org" }));
    const page = { body: { items, nextCursor: "again" } };
    const server = await startFakeServer({
      "GET /organizations?limit=100": page,
      "GET /organizations?limit=100&cursor=again": page,
    });
    const { code, stderr } = await runAt(server, "org", "list");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "Only the first 10000 are shown.\n" });
  });
});

describe("org, user and token", () => {
  it.each([
    ["org create platform", 'POST organizations {"name":"platform"}', "Made organization platform."],
    ["org delete platform", "DELETE organizations/platform", "Deleted organization platform."],
    [
      "org member set main ada --role admin",
      'PUT organizations/main/members/ada {"role":"admin"}',
      "ada is now admin of main.",
    ],
    ["org member remove main ada", "DELETE organizations/main/members/ada", "ada no longer belongs to main."],
    ["user create ada --name Ada", 'POST users {"login":"ada","name":"Ada"}', "Made user ada."],
    ["user delete ada", "DELETE users/ada", "Deleted user ada."],
    ["token revoke t1", "DELETE tokens/t1", "Revoked token t1."],
    ["user delete ../users", "DELETE users/..%2Fusers", "Deleted user ../users."],
  ])("%s", async (line, request, said) => {
    const key = request.replace(/ \{.*$/, "").replace(" ", " /");
    const status = request.startsWith("DELETE") ? 204 : 200;
    const server = await startFakeServer({ [key]: status === 204 ? { status } : { body: {} } });
    const { code, stdout } = await runAt(server, ...line.split(" "));
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${said}\n` });
    expect(asked(server)).toEqual([request]);
  });
});

describe("gc", () => {
  const body = { id: "g1", dryRun: true, counts: { expiredLeases: 2, orphanBlobs: 0 }, error: null };

  it("shows the counts of a dry run", async () => {
    const server = await startFakeServer({ "POST /gc-runs": { status: 201, body } });
    const { code, stdout } = await runAt(server, "gc", "--dry-run");
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: "Would be swept:\n  expiredLeases  2\n  orphanBlobs    0\n",
    });
    expect(asked(server)).toEqual(['POST gc-runs {"dryRun":true}']);
  });

  it("fails when the run did", async () => {
    const failed = { ...body, dryRun: false, error: "disk full" };
    const server = await startFakeServer({ "POST /gc-runs": { status: 201, body: failed } });
    const { code, stdout, stderr } = await runAt(server, "gc");
    expect(code).toBe(1);
    expect(stdout).toContain("Swept:");
    expect(stderr).toContain("The run ended early: disk full.");
  });
});
