/** Every route × every kind of caller. What each may do stands in authorization-table.ts. */
import { describe, expect, it } from "vitest";
import { allRoutes } from "../../server/app.ts";
import { type Answer, StackClient, send, type UpdateClient } from "../support/client.ts";
import { ADMIN_TOKEN, ORG, startTestServer, type TestServer } from "../support/server.ts";
import {
  CALLERS,
  CASES,
  type Caller,
  type Case,
  OUTCOMES,
  type Outcome,
  type Target,
} from "./authorization-table.ts";

const ADMIN = "/api/admin/v1";
const ELSEWHERE = "elsewhere";
const PROJECT = "shop";
const RESOURCE = {
  urn: `urn:pulumi:x::${PROJECT}::test:index:Thing::a`,
  custom: false,
  type: "test:index:Thing",
};
const STATE = {
  version: 3,
  deployment: { manifest: { time: "", magic: "", version: "" }, resources: [RESOURCE], metadata: {} },
};

/** `METHOD path` of a case, without what tells two requests to one route apart. */
function routeOf(key: string): string {
  return key.replace(/ \(.*\)$/, "");
}

async function admin(
  server: TestServer,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer["body"]> {
  const answer = await send(server, method, `${ADMIN}${path}`, body);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
  return answer.body;
}

type Credentials = Record<Exclude<Caller, `${string}lease${string}`>, string | null>;

interface World {
  readonly server: TestServer;
  readonly credentials: Credentials;
  /** A running update of another stack of the same organization. */
  readonly other: UpdateClient;
  count: number;
}

/** People of each role in two organizations, machines, and tokens that have ended. */
async function makeWorld(): Promise<World> {
  let nowMs = Date.now();
  const env = { STATEHOUSE_AUTH_FAILURES_PER_MINUTE: "100000" };
  const server = await startTestServer({ env, nowMs: () => nowMs });
  await admin(server, "POST", "/organizations", { name: ELSEWHERE });
  const person = async (login: string, organization: string, role: string) => {
    await admin(server, "POST", "/users", { login });
    await admin(server, "PUT", `/organizations/${organization}/members/${login}`, { role });
    return (await admin(server, "POST", "/tokens", { name: "laptop", user: login })).token as string;
  };
  const machine = async (organization: string, role: string, more = {}) =>
    admin(server, "POST", "/tokens", { name: "ci", organization, role, ...more });
  const revoked = await machine(ORG, "admin");
  await admin(server, "DELETE", `/tokens/${revoked.id}`);
  const credentials: Credentials = {
    nobody: null,
    garbage: "sth_garbage",
    expired: (await machine(ORG, "admin", { expiresInSeconds: 60 })).token,
    revoked: revoked.token,
    viewer: await person("vera", ORG, "viewer"),
    member: await person("mara", ORG, "member"),
    admin: await person("ada", ORG, "admin"),
    "viewer elsewhere": await person("vito", ELSEWHERE, "viewer"),
    "member elsewhere": await person("milo", ELSEWHERE, "member"),
    "admin elsewhere": await person("anton", ELSEWHERE, "admin"),
    "machine viewer": (await machine(ORG, "viewer")).token,
    "machine member": (await machine(ORG, "member")).token,
    "machine elsewhere": (await machine(ELSEWHERE, "admin")).token,
    "instance admin": ADMIN_TOKEN,
  };
  nowMs += 61_000;
  const other = await (await new StackClient(server, PROJECT, "other").init()).begin();
  return { server, credentials, other, count: 0 };
}

type Aim = Target & { readonly lease: string | null };

/** A user in an organization of their own, with a token: what the admin API can be asked about. */
async function makePeople(server: TestServer, name: string): Promise<void> {
  await admin(server, "POST", "/organizations", { name });
  await admin(server, "POST", "/users", { login: name });
  await admin(server, "PUT", `/organizations/${name}/members/${name}`, { role: "member" });
  await server.ctx.db.createToken({
    ...{ id: `token-of-${name}`, tokenHash: `hash-of-${name}`, name: "old", kind: "person", login: name },
    ...{ organization: null, role: null, createdBy: "admin", expiresMs: null, nowMs: server.ctx.nowMs() },
  });
}

/** A stack with a state, and an update in the state that the case asks for. */
async function makeTarget(world: World, { needs, update = "running" }: Case): Promise<Aim> {
  const { server } = world;
  const fresh = `fresh${++world.count}`;
  const name = `stack${world.count}`;
  const stack = await new StackClient(server, PROJECT, name).init();
  await stack.send("POST", "/import", STATE);
  const { body } = await stack.send("POST", "/encrypt", { plaintext: "aGVsbG8=" });
  if (needs === "admin token") await makePeople(server, fresh);
  const aim = { stack: name, fresh, ciphertext: body.ciphertext as string, updateId: "none", lease: null };
  switch (update) {
    case "none":
      return aim;
    case "created":
      return { ...aim, updateId: await stack.create() };
    case "preview":
      return { ...aim, updateId: await stack.create("preview", true) };
    case "running": {
      const { id, token } = await stack.begin();
      return { ...aim, updateId: id, lease: token };
    }
    default:
      return update satisfies never;
  }
}

function requestOf(world: World, key: string, it: Case, caller: Caller, target: Aim): Promise<Answer> {
  const [method = "", path = ""] = routeOf(key).split(" ");
  const params: Record<string, string> = {
    ...{ org: ORG, project: PROJECT, stack: target.stack, updateId: target.updateId, version: "1" },
    ...it.params?.(target),
  };
  const filled = path.replace(/:(\w+)/g, (_, name: string) => params[name] ?? "");
  const body = typeof it.body === "function" ? it.body(target) : it.body;
  const options = optionsOf(world, caller, target);
  return send(world.server, method, `${filled}${it.query ?? ""}`, body, options);
}

function optionsOf(world: World, caller: Caller, { lease }: Aim) {
  switch (caller) {
    case "lease":
      return { lease: lease ?? "lease_of_nothing" };
    case "lease of another update":
      return { lease: world.other.token };
    case "garbage lease":
      return { lease: "lease_garbage" };
    default:
      return { token: world.credentials[caller] };
  }
}

/** What became of a request. A 404 of something that isn't there is no refusal: the handler said it. */
function outcomeOf({ status, text, body }: Answer, reached?: number): Outcome | string {
  if (status < 300 || status === reached) return "allowed";
  if (status === 401 || status === 403) return status;
  // An answer to HEAD has no words.
  if (status === 404 && (text === "" || body?.message === "Organization not found")) return status;
  return `${status} ${text}`;
}

/** What a refused request might have changed. Whatever the admin API changes leaves an audit event. */
async function pictureOf({ server }: World, { stack }: Target): Promise<unknown> {
  const client = new StackClient(server, PROJECT, stack);
  const { statistics } = await admin(server, "GET", "/status");
  const newest = async (path: string) => (await admin(server, "GET", `${path}?limit=1`)).items[0]?.id;
  return {
    stack: [(await client.send("GET", "")).text, (await client.send("GET", "/updates")).text],
    admin: [statistics, await newest("/audit-events"), await newest("/gc-runs")],
  };
}

describe("authorisation", { timeout: 120_000 }, () => {
  it("is written down for every route, and for no other", () => {
    const owner = { version: "", startedMs: 0, owner: null };
    const routes = allRoutes({ isDraining: false, isStorageInDoubt: false }, owner).map(
      (it) => `${it.method.toUpperCase()} ${it.path}`,
    );
    expect([...new Set(Object.keys(CASES).map(routeOf))].sort()).toEqual(routes.sort());
  });

  it("gives every caller what the table says, and changes nothing for who is refused", async () => {
    const world = await makeWorld();
    const found: Record<string, unknown> = {};
    const expected: Record<string, unknown> = {};
    for (const [key, it] of Object.entries(CASES)) {
      const shared = await makeTarget(world, it);
      const before = await pictureOf(world, shared);
      const ask = async (caller: Caller, target: Aim) => {
        expected[`${key} by ${caller}`] = OUTCOMES[it.needs][caller];
        found[`${key} by ${caller}`] = outcomeOf(await requestOf(world, key, it, caller, target), it.reached);
      };
      const isRefused = (caller: Caller) => OUTCOMES[it.needs][caller] !== "allowed";
      await Promise.all(CALLERS.filter(isRefused).map((caller) => ask(caller, shared)));
      expected[`${key}, afterwards`] = before;
      found[`${key}, afterwards`] = await pictureOf(world, shared);
      const changes = it.needs !== "open" && !/^(GET|HEAD)/.test(key);
      await Promise.all(
        CALLERS.filter((caller) => !isRefused(caller)).map(async (caller) =>
          ask(caller, changes ? await makeTarget(world, it) : shared),
        ),
      );
    }
    expect(found).toEqual(expected);
  });

  it("does not let one organization's paths reach another's things", async () => {
    const { server, credentials } = await makeWorld();
    const theirs = await new StackClient(server, PROJECT, "dev").init();
    const update = await theirs.begin();
    await theirs.send("POST", "/encrypt", { plaintext: "aGVsbG8=" });
    const token = credentials["admin elsewhere"];
    const mine = await new StackClient(server, PROJECT, "dev", { token }, ELSEWHERE).init();
    const before = (await theirs.send("GET", "")).text;
    for (const [method, path, body] of [
      ["POST", "", {}],
      ["GET", "", undefined],
      ["GET", "/events", undefined],
      ["POST", "/cancel", undefined],
    ] as const) {
      const answer = await mine.send(method, `/update/${update.id}${path}`, body);
      expect(answer, `${method} ${path}`).toMatchObject({
        status: 404,
        body: { message: "Update not found" },
      });
    }
    // The right lease under another stack's path is no lease.
    const stolen = await mine.send("POST", `/update/${update.id}/renew_lease`, {}, { lease: update.token });
    expect(stolen).toMatchObject({ status: 403 });
    expect((await theirs.send("GET", "")).text).toBe(before);
  });

  it("lets nobody read another stack's secrets, not even within the organization", async () => {
    const { server, credentials } = await makeWorld();
    const first = await new StackClient(server, PROJECT, "first").init();
    const second = await new StackClient(server, PROJECT, "second", { token: credentials.member }).init();
    const { ciphertext } = (await first.send("POST", "/encrypt", { plaintext: "aGVsbG8=" })).body;
    expect(await second.send("POST", "/decrypt", { ciphertext })).toMatchObject({ status: 400 });
    expect(await second.send("POST", "/batch-decrypt", { ciphertexts: [ciphertext] })).toMatchObject({
      status: 400,
    });
  });

  it("shows in lists only what the caller belongs to", async () => {
    const { server, credentials } = await makeWorld();
    await new StackClient(server, PROJECT, "hidden", {}, ELSEWHERE).init();
    const list = async (token: string | null, query = "") => {
      const { status, body } = await send(server, "GET", `/api/user/stacks${query}`, undefined, { token });
      return status === 200 ? body.stacks.map((it: { stackName: string }) => it.stackName) : status;
    };
    expect(await list(credentials.viewer)).toEqual(["other"]);
    expect(await list(credentials["viewer elsewhere"])).toEqual(["hidden"]);
    expect(await list(credentials["machine elsewhere"])).toEqual(["hidden"]);
    expect(await list(credentials.viewer, `?organization=${ELSEWHERE}`)).toBe(404);
    expect(await list(ADMIN_TOKEN)).toEqual(["hidden", "other"]);
    const { body: user } = await send(server, "GET", "/api/user", undefined, { token: credentials.viewer });
    expect(user.organizations.map((it: { name: string }) => it.name)).toEqual([ORG]);
  });

  it("ends with the membership, at once", async () => {
    const { server, credentials } = await makeWorld();
    const stack = new StackClient(server, PROJECT, "other", { token: credentials.member });
    expect(await stack.send("GET", "")).toMatchObject({ status: 200 });
    await admin(server, "PUT", `/organizations/${ORG}/members/mara`, { role: "viewer" });
    expect(await stack.send("PATCH", "/tags", {})).toMatchObject({ status: 403 });
    await admin(server, "DELETE", `/organizations/${ORG}/members/mara`);
    expect(await stack.send("GET", "")).toMatchObject({
      status: 404,
      body: { message: "Organization not found" },
    });
  });
});
