import { describe, expect, it } from "vitest";
import { StackClient, send } from "../support/client.ts";
import { ADMIN_TOKEN, ORG } from "../support/server.ts";
import {
  API,
  blobKeys,
  COMMIT,
  fileStores,
  list,
  machine,
  put,
  random,
  startOver,
  stored,
} from "./support.ts";

const DAY = 86_400_000;

describe.each(fileStores())("artifact retention on $label", (store) => {
  async function start(env: Record<string, string>) {
    const clock = { nowMs: Date.now() };
    const server = await startOver(store, env, () => clock.nowMs);
    await server.scheduler.tick();
    return { server, clock, names: async () => (await list(server)).map((it) => it.name).sort() };
  }
  const pin = (server: Parameters<typeof list>[0], id: string) =>
    send(server, "PATCH", `${API}/items/${id}`, { pinned: true });

  it("goes by age, and spares what is pinned", async () => {
    const { server, clock, names } = await start({ STATEHOUSE_ARTIFACT_RETENTION_DAYS: "2" });
    await stored(server, "old", random(9));
    await pin(server, (await stored(server, "pinned", random(9))).id);
    clock.nowMs += DAY + 1;
    await stored(server, "new", random(9));
    clock.nowMs += DAY;
    await server.scheduler.tick();
    expect(await names()).toEqual(["new", "pinned"]);
    expect(await blobKeys(server)).toHaveLength(2);
  });

  it("goes by count and size, of a stack and of the organization", async () => {
    const env = {
      STATEHOUSE_ARTIFACTS_KEEP_PER_STACK: "3",
      STATEHOUSE_ARTIFACT_BYTES_PER_STACK: "250",
      STATEHOUSE_ARTIFACTS_KEEP_PER_ORGANIZATION: "4",
    };
    const { server, clock, names } = await start(env);
    await new StackClient(server, "web", "dev").init();
    const query = "project=web&stack=dev";
    await pin(server, (await stored(server, "s0", random(500), { query })).id);
    for (const [i, size] of [10, 10, 10, 10, 200].entries()) {
      clock.nowMs += 1;
      await stored(server, `s${i + 1}`, random(size), { query });
    }
    await server.scheduler.tick();
    expect(await names()).toEqual(["s0", "s3", "s4", "s5"]);
    clock.nowMs += 1;
    await stored(server, "s6", random(60), { query });
    await server.scheduler.tick();
    expect(await names()).toEqual(["s0", "s6"]);
    for (const name of ["c1", "c2", "c3", "c4"]) {
      clock.nowMs += 1;
      await stored(server, name, random(1));
    }
    await server.scheduler.tick();
    expect(await names()).toEqual(["c1", "c2", "c3", "c4", "s0"]);
    expect(await blobKeys(server)).toHaveLength(5);
  });

  it("goes by what an organization or a stack has set for itself", async () => {
    const { server, clock, names } = await start({ STATEHOUSE_ARTIFACT_RETENTION_DAYS: "30" });
    await new StackClient(server, "web", "dev").init();
    const query = "project=web&stack=dev";
    const set = (of: string, body: unknown, token = ADMIN_TOKEN) =>
      send(server, "PUT", `${API}/limits${of}`, body, { token });
    const unset = { retentionDays: null, files: null, bytes: null, quotaBytes: null };
    const inForce = { ...unset, retentionDays: 30 };
    expect((await send(server, "GET", `${API}/limits`)).body).toEqual({ own: unset, inForce });
    const member = await machine(server, { role: "member" });
    expect(await set("", { files: 1 }, member)).toMatchObject({ status: 403 });
    expect(await set(`?${query}`, { quotaBytes: 1 })).toMatchObject({ status: 400 });
    expect(await set("?project=web&stack=none", {})).toMatchObject({ status: 404 });

    expect((await set(`?${query}`, { files: 2, retentionDays: "unlimited" })).body).toEqual({
      own: { ...unset, files: 2, retentionDays: "unlimited" },
      inForce: { ...unset, files: 2 },
    });
    for (const name of ["s1", "s2", "s3"]) {
      await stored(server, name, random(9), { query });
      clock.nowMs += 1;
    }
    await stored(server, "c1", random(9));
    await server.scheduler.tick();
    expect(await names()).toEqual(["c1", "s2", "s3"]);
    expect((await send(server, "GET", `${API}/usage?${query}`)).body).toMatchObject({
      files: 2,
      limits: { ...unset, files: 2 },
    });
    clock.nowMs += 40 * DAY;
    await server.scheduler.tick();
    expect(await names()).toEqual(["s2", "s3"]);

    await set("", { quotaBytes: 20 });
    expect(await put(server, "more", random(9))).toMatchObject({ status: 413 });
    await set("", { quotaBytes: "unlimited", bytes: 9 });
    await server.scheduler.tick();
    expect(await names()).toEqual(["s3"]);
    const { items } = (await send(server, "GET", "/api/admin/v1/audit-events?limit=50")).body;
    const changes = items.filter((it: { action: string }) => it.action === "artifact.limits");
    expect(changes.map((it: { target: string }) => it.target)).toEqual([ORG, ORG, "web/dev"]);
  });

  it("takes along what belongs to an update or a stack that is removed, except what is pinned", async () => {
    const { server, clock, names } = await start({});
    const stack = await new StackClient(server, "web", "dev").init();
    const query = `update=${await stack.create()}`;
    await stored(server, "loose", random(9), { query });
    await pin(server, (await stored(server, "pinned", random(9), { query })).id);
    await stored(server, "of the stack", random(9), { query: "project=web&stack=dev" });
    clock.nowMs += 2 * 3_600_000;
    await server.scheduler.tick(); // discards the update, which nobody started
    clock.nowMs += DAY + 3_600_000;
    await server.scheduler.tick(); // and removes it
    expect(await names()).toEqual(["of the stack", "pinned"]);
    await stack.send("DELETE", "");
    await server.scheduler.tick();
    expect(await names()).toEqual(["pinned"]);
    expect((await send(server, "GET", `${API}/usage`)).body).toMatchObject({ files: 1, bytes: 9 });
    clock.nowMs += 2 * DAY;
    await send(server, "POST", "/api/admin/v1/gc-runs", {});
    expect(await blobKeys(server)).toHaveLength(1);
    const [{ id }] = (await list(server)) as [{ id: string }];
    const got = await fetch(`${server.url}${API}/items/${id}/content`, {
      headers: { authorization: "token sth_admin_for_tests_only_0123456789" },
    });
    expect((await got.arrayBuffer()).byteLength).toBe(9);
  });

  it("sweeps bytes that a crash left without a row", async () => {
    const { server, clock } = await start({});
    const { id } = await stored(server, "kept", random(9), { query: `commit=${COMMIT}` });
    await server.ctx.blobs.put("artifacts/ab/abcdef/0123", [random(5)], { maxBytes: 5 });
    clock.nowMs += 2 * DAY;
    await send(server, "POST", "/api/admin/v1/gc-runs", {});
    expect(await blobKeys(server)).toHaveLength(1);
    expect((await list(server)).map((it) => it.id)).toEqual([id]);
  });
});
