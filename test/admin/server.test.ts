import { describe, expect, it } from "vitest";
import { auditActions, makeUpdate, shareWithPeople, startAdminApi, startWithPeople } from "./support.ts";

const shared = shareWithPeople();

describe("status", () => {
  it("says what the server is and how much it holds", async () => {
    const api = await startWithPeople();
    await makeUpdate(api);
    api.advance(90_500);
    const { body } = await api.send("GET", "/status");
    expect(body).toMatchObject({
      version: "0.0.0-test",
      startedAt: "2026-03-01T12:00:00.000Z",
      uptimeSeconds: 90,
      owner: { host: "test" },
      database: { engine: "sqlite" },
      blobs: { kind: "local-disk" },
      statistics: { organizations: 1, users: 1, stacks: 1, activeLeases: 1, stateBytes: 0, stateVersions: 0 },
    });
  });

  it("answers 503 while the database is away", async () => {
    const api = await startAdminApi();
    await api.ctx.db.close();
    const { status, headers } = await api.send("GET", "/status");
    expect(status).toBe(503);
    expect(headers.get("retry-after")).not.toBeNull();
  });
});

describe("GC runs", () => {
  it("run the sweeps and are kept, newest first", async () => {
    const api = await startWithPeople();
    await makeUpdate(api, { isStarted: false });
    api.advance(2 * 3_600_000);
    const rehearsed = await api.send("POST", "/gc-runs", { dryRun: true });
    expect(rehearsed).toMatchObject({ status: 201, body: { trigger: "api", dryRun: true, error: null } });
    expect(rehearsed.body.counts).toMatchObject({ updatesDiscarded: 1 });
    api.advance(1);
    const swept = await api.send("POST", "/gc-runs");
    expect(swept.body).toMatchObject({ dryRun: false, counts: { updatesDiscarded: 1 } });
    expect((await api.send("GET", "/gc-runs")).body).toEqual({ items: [swept.body, rehearsed.body] });
    expect((await api.send("GET", "/gc-runs?limit=1")).body).toEqual({ items: [swept.body] });
    expect((await auditActions(api)).filter((it) => it === "gc.run")).toHaveLength(1);
  });

  it.each([{ dryRun: "yes" }, { dry: true }])("refuse %o", async (body) => {
    const api = shared();
    expect(await api.send("POST", "/gc-runs", body)).toMatchObject({ status: 400 });
    expect((await api.send("GET", "/gc-runs")).body).toEqual({ items: [] });
  });
});
