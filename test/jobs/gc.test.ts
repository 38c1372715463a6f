/** What the sweeps do, seen from outside: through the protocol and the admin API, with a clock of our own. */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { runGc } from "../../server/jobs/gc.ts";
import { StackClient, send } from "../support/client.ts";
import { ORG } from "../support/server.ts";
import {
  age,
  blobRoot,
  DAY,
  done,
  gcRuns,
  HOUR,
  LEASE,
  MINUTE,
  metric,
  putFile,
  SECOND,
  startGcServer,
  storedFiles,
  sweepByHand,
  watchedScheduler,
} from "./support.ts";

/** Makes a state too large for a row, so that it is a file. */
const NOISE = randomBytes(40_000).toString("base64");
const TYPE = "test:index:Thing";

function resource(name: string) {
  return { urn: `urn:pulumi:dev::shop::${TYPE}::${name}`, custom: false, type: TYPE };
}

function entry(sequenceID: number, kind: number, operationID: number, rest: Record<string, unknown>) {
  return { version: 1, kind, sequenceID, operationID, removeOld: null, removeNew: null, ...rest };
}

/** `made` was created; the creation of `begun` was under way when the CLI died. */
const JOURNAL = [
  entry(1, 0, 1, { operation: { resource: resource("made"), type: "creating" } }),
  entry(2, 1, 1, { state: resource("made") }),
  entry(3, 0, 3, { operation: { resource: resource("begun"), type: "creating" } }),
];

function deployment(...names: string[]) {
  const manifest = { time: "2026-01-01T00:00:00Z", magic: "", version: "" };
  const resources = names.map((name) => ({ ...resource(name), outputs: { noise: NOISE } }));
  return { manifest, resources, metadata: {} };
}

async function importInto(stack: StackClient, ...names: string[]): Promise<void> {
  const body = { version: 3, deployment: deployment(...names) };
  expect(await stack.send("POST", "/import", body)).toMatchObject({ status: 200 });
}

async function results(stack: StackClient): Promise<string[]> {
  const { body } = await stack.send("GET", "/updates?pageSize=100&page=1");
  return body.updates.map((it: { version: number; result: string }) => `${it.version} ${it.result}`);
}

async function isBusy(stack: StackClient): Promise<boolean> {
  return (await stack.send("GET", "")).body.currentOperation !== undefined;
}

describe("an update whose lease has ended", () => {
  it("leaves what it had saved, with its pending operation, and frees its stack", async () => {
    const { server, clock, tick } = await startGcServer();
    const stack = await new StackClient(server, "shop", "dev").init();
    await importInto(stack, "old");
    const update = await stack.begin();
    expect(await update.journal(JOURNAL)).toMatchObject({ status: 204 });
    clock.advance(LEASE - SECOND);
    await tick();
    expect(await isBusy(stack)).toBe(true);
    clock.advance(2 * SECOND);
    await tick();
    expect(await isBusy(stack)).toBe(false);
    const { resources, pending_operations: pending } = (await stack.deployment()).deployment;
    expect(resources.map((it: { urn: string }) => it.urn)).toEqual(
      ["made", "old"].map((it) => resource(it).urn),
    );
    expect(pending).toEqual([{ resource: resource("begun"), type: "creating" }]);
    expect(await results(stack)).toEqual(["2 failed", "1 succeeded"]);
    expect((await stack.deployment(1)).deployment.resources).toEqual(deployment("old").resources);
    expect(await update.journal(JOURNAL)).toMatchObject({
      status: 403,
      body: { code: 403, message: "The provided update token has expired" },
    });
    expect((await stack.begin()).version).toBe(3);
  });

  it("leaves its last checkpoint when it kept no journal", async () => {
    const { server, clock, tick } = await startGcServer();
    const stack = await new StackClient(server, "shop", "dev").init();
    const update = await stack.begin("update", { journal: false });
    await update.checkpoint(deployment("one"));
    await update.checkpoint(deployment("one", "two"));
    clock.advance(LEASE + SECOND);
    await tick();
    expect((await stack.deployment()).deployment.resources).toHaveLength(2);
    expect(await results(stack)).toEqual(["1 failed"]);
  });

  it("leaves the state as it was when it had saved nothing", async () => {
    const { server, clock, tick } = await startGcServer();
    const stack = await new StackClient(server, "shop", "dev").init();
    await importInto(stack, "old");
    const before = (await stack.send("GET", "/export")).text;
    await stack.begin();
    clock.advance(LEASE + SECOND);
    await tick();
    expect((await stack.send("GET", "/export")).text).toBe(before);
    expect(await isBusy(stack)).toBe(false);
  });

  it("ends for good, even if nobody asks for its stack, and a preview does so, too", async () => {
    const { server, clock, tick } = await startGcServer();
    const stack = await new StackClient(server, "shop", "dev").init();
    const update = await stack.begin();
    const preview = await stack.begin("preview", { dryRun: true });
    clock.advance(LEASE + SECOND);
    await tick();
    for (const { id } of [update, preview]) {
      const { body } = await stack.send("GET", `/update/${id}`);
      expect(body).toMatchObject({ status: "failed", continuationToken: null });
    }
    expect(await metric(server, "statehouse_active_leases")).toBe(0);
  });

  it("is not ended as long as its CLI renews", async () => {
    const { server, clock, tick } = await startGcServer();
    const stack = await new StackClient(server, "shop", "dev").init();
    const update = await stack.begin();
    for (let minutes = 0; minutes < 30; minutes += 4) {
      clock.advance(4 * MINUTE);
      await tick();
      const renewed = await update.send("POST", "/renew_lease", { duration: 300 });
      expect(renewed).toMatchObject({ status: 200, body: { token: update.token } });
    }
    expect(await update.journal(JOURNAL)).toMatchObject({ status: 204 });
    expect(await isBusy(stack)).toBe(true);
    clock.advance(LEASE + SECOND);
    await tick();
    expect(await results(stack)).toEqual(["1 failed"]);
  });

  it("is ended as cancelled when the server died in the middle of a cancel", async () => {
    const { server, clock, tick } = await startGcServer();
    const stack = await new StackClient(server, "shop", "dev").init();
    const update = await stack.begin();
    await update.journal(JOURNAL);
    const ref = { organization: ORG, project: "shop", stack: "dev", updateId: update.id };
    await server.ctx.db.requestCancel({ ref, nowMs: clock.nowMs });
    server.ctx.deadlines.note(0); // as a start does
    await tick();
    expect(await isBusy(stack)).toBe(false);
    expect((await stack.deployment()).deployment.pending_operations).toHaveLength(1);
  });

  it("does not hold up the others when its own state can't be read any more", async () => {
    const { server, clock, tick } = await startGcServer();
    const broken = await new StackClient(server, "shop", "broken").init();
    await importInto(broken, "old");
    const [blob] = await storedFiles(server);
    const update = await broken.begin();
    await update.journal(JOURNAL);
    clock.advance(SECOND);
    const sound = await new StackClient(server, "shop", "sound").init();
    await sound.begin();
    const bytes = await readFile(blob ?? "");
    await rm(blob ?? "");
    clock.advance(LEASE + SECOND);
    await tick();
    expect(await isBusy(sound)).toBe(false);
    expect(await isBusy(broken)).toBe(true);
    const [run] = await gcRuns(server);
    expect(run).toMatchObject({ counts: { leasesEnded: 1 }, error: expect.stringContaining(update.id) });
    expect(await metric(server, 'statehouse_gc_runs_total{result="failed"}')).toBe(1);
    // Once it can be read again, the next minute ends it, with all that it had saved.
    await mkdir(dirname(blob ?? ""), { recursive: true });
    await writeFile(blob ?? "", bytes);
    clock.advance(MINUTE);
    await tick();
    expect(await isBusy(broken)).toBe(false);
    expect((await broken.deployment()).deployment.pending_operations).toHaveLength(1);
  });
});

describe("an update that was never started", () => {
  it("can be started within an hour, and not any more after that", async () => {
    const { server, clock, tick } = await startGcServer();
    const stack = await new StackClient(server, "shop", "dev").init();
    const early = await stack.create();
    const late = await stack.create();
    clock.advance(59 * MINUTE);
    await tick();
    expect(await stack.start(early)).toMatchObject({ status: 200 });
    clock.advance(2 * MINUTE);
    await tick();
    expect(await stack.start(late)).toMatchObject({ status: 409 });
    expect((await stack.send("GET", `/update/${late}`)).body.status).toBe("failed");
    expect(await results(stack)).toEqual(["1 in-progress"]); // the early one
  });

  it("is forgotten a day later", async () => {
    const { server, clock, tick } = await startGcServer();
    const stack = await new StackClient(server, "shop", "dev").init();
    const id = await stack.create();
    clock.advance(HOUR + SECOND);
    await tick();
    clock.advance(DAY - MINUTE);
    await tick();
    expect(await stack.send("GET", `/update/${id}`)).toMatchObject({ status: 200 });
    clock.advance(2 * MINUTE);
    await tick();
    expect(await stack.send("GET", `/update/${id}`)).toMatchObject({ status: 404 });
    const removed = (await gcRuns(server)).map((it) => done(it.counts));
    expect(removed).toEqual([{ updatesRemoved: 1 }, { updatesDiscarded: 1 }]);
  });
});

describe("tokens", () => {
  it("stay in the list for a day after their end, then go", async () => {
    const { server, clock, tick } = await startGcServer();
    const create = async (name: string, more = {}) => {
      const body = { name, organization: ORG, role: "viewer", ...more };
      return (await send(server, "POST", "/api/admin/v1/tokens", body)).body;
    };
    const names = async () => {
      const { body } = await send(server, "GET", "/api/admin/v1/tokens");
      return body.items.map((it: { name: string }) => it.name).sort();
    };
    const expiring = await create("expiring", { expiresInSeconds: 60 });
    const revoked = await create("revoked");
    await create("for ever");
    await send(server, "DELETE", `/api/admin/v1/tokens/${revoked.id}`);
    clock.advance(2 * MINUTE);
    await tick();
    expect(await send(server, "GET", "/api/user", undefined, { token: expiring.token })).toMatchObject({
      status: 401,
    });
    clock.advance(DAY - HOUR);
    await tick();
    expect(await names()).toEqual(["expiring", "for ever", "revoked"]);
    clock.advance(HOUR + MINUTE);
    await tick();
    expect(await names()).toEqual(["for ever"]);
    clock.advance(3650 * DAY);
    await tick();
    expect(await names()).toEqual(["for ever"]);
  });
});

describe("files that nothing names", () => {
  it("go when they are older than a day; younger ones and all that has a name stay", async () => {
    const { server, clock } = await startGcServer();
    const stack = await new StackClient(server, "shop", "dev").init();
    await importInto(stack, "one");
    const update = await stack.begin("update", { journal: false });
    await update.checkpoint(deployment("one", "two"));
    const named = await storedFiles(server);
    expect(named).toHaveLength(2); // a version, and the checkpoint of an update that runs
    for (const path of named) await age(path, clock, 30 * DAY);
    const root = blobRoot(server);
    const old = await putFile(join(root, "stacks/ab/abcdef/0123+"), clock, 25 * HOUR);
    const young = await putFile(join(root, "stacks/ab/abcdef/4567+"), clock, 23 * HOUR);
    const temp = join(server.dataDir, "blobs", "tmp");
    const oldPart = await putFile(join(temp, "1-old"), clock, 25 * HOUR);
    const youngPart = await putFile(join(temp, "1-young"), clock, HOUR);
    expect(done(await sweepByHand(server))).toEqual({ orphanBlobsRemoved: 1, partialBlobsRemoved: 1 });
    for (const path of [old, oldPart]) await expect(stat(path)).rejects.toThrow("ENOENT");
    for (const path of [young, youngPart, ...named]) expect((await stat(path)).isFile()).toBe(true);
    expect((await stack.deployment()).deployment.resources).toHaveLength(1);
  });

  it("are looked for by the cron, too, though not each time", async () => {
    const { server, clock, tick } = await startGcServer();
    const stack = await new StackClient(server, "shop", "dev").init();
    const orphan = await putFile(join(blobRoot(server), "stacks/ab/abcdef/0123+"), clock, 48 * HOUR);
    await stack.create();
    clock.advance(HOUR + SECOND);
    await tick();
    expect((await stat(orphan)).isFile()).toBe(true);
    await stack.create();
    clock.advance(6 * HOUR);
    await tick();
    await expect(stat(orphan)).rejects.toThrow("ENOENT");
  });

  it("are looked for again soon when that failed", async () => {
    const { server, clock } = await startGcServer();
    const orphan = await putFile(join(blobRoot(server), "stacks/ab/abcdef/0123+"), clock, 48 * HOUR);
    let isBroken = true;
    const scheduler = watchedScheduler(server, (step) => {
      if (isBroken && step === "findUnnamedBlobs") throw new Error("out of order");
    });
    server.ctx.deadlines.note(clock.nowMs);
    await scheduler.tick();
    expect((await gcRuns(server))[0].error).toBe("orphanBlobsRemoved: out of order");
    isBroken = false;
    clock.advance(9 * MINUTE);
    await scheduler.tick();
    expect((await stat(orphan)).isFile()).toBe(true);
    clock.advance(MINUTE);
    await scheduler.tick();
    await expect(stat(orphan)).rejects.toThrow("ENOENT");
  });

  it("are made by finished updates, and don't pile up", async () => {
    const { server, clock } = await startGcServer();
    const stack = await new StackClient(server, "shop", "dev").init();
    const update = await stack.begin("update", { journal: false });
    for (const count of [1, 2, 3, 4]) {
      await update.checkpoint(deployment(...Array.from({ length: count }, (_, index) => `r${index}`)));
    }
    await update.complete();
    clock.advance(3 * DAY);
    await sweepByHand(server);
    expect(await storedFiles(server)).toHaveLength(1);
    expect((await stack.deployment()).deployment.resources).toHaveLength(4);
  });
});

describe("retention", () => {
  /** Five versions, and one ended update with events. */
  async function startWithHistory(env: Readonly<Record<string, string>> = {}) {
    const gc = await startGcServer(env);
    const stack = await new StackClient(gc.server, "shop", "dev").init();
    for (const name of ["one", "two", "three", "four"]) await importInto(stack, name);
    const update = await stack.begin();
    const events = [{ sequence: 0, timestamp: 1, stdoutEvent: { message: "hello", color: "never" } }];
    expect(await update.send("POST", "/events/batch", { events })).toMatchObject({ status: 204 });
    await update.journal(JOURNAL);
    await update.complete();
    const versions = async () => {
      const there: number[] = [];
      for (const version of [1, 2, 3, 4, 5]) {
        const { status } = await stack.send("GET", `/export/${version}`);
        if (status === 200) there.push(version);
      }
      return there;
    };
    const eventCount = async () =>
      (await stack.send("GET", `/update/${update.id}/events`)).body.events.length;
    return { ...gc, stack, versions, eventCount };
  }

  it("keeps everything unless told otherwise", async () => {
    const { clock, tick, server, versions, eventCount } = await startWithHistory();
    clock.advance(3650 * DAY);
    await tick();
    await sweepByHand(server);
    expect(await versions()).toEqual([1, 2, 3, 4, 5]);
    expect(await eventCount()).toBe(1);
  });

  it("by age removes old versions and their files, never the current one", async () => {
    const env = { STATEHOUSE_VERSION_RETENTION_DAYS: "30" };
    const { clock, tick, server, stack, versions } = await startWithHistory(env);
    clock.advance(29 * DAY);
    await tick();
    expect(await versions()).toEqual([1, 2, 3, 4, 5]);
    clock.advance(2 * DAY);
    await tick();
    expect(await versions()).toEqual([5]);
    expect(await results(stack)).toHaveLength(5); // history is no state
    await sweepByHand(server);
    expect(await storedFiles(server)).toHaveLength(1);
  });

  it("by count keeps the newest", async () => {
    const { clock, tick, versions } = await startWithHistory({ STATEHOUSE_VERSIONS_KEEP: "2" });
    clock.advance(7 * HOUR);
    await tick();
    expect(await versions()).toEqual([4, 5]);
  });

  it("of events removes logs of updates that ended long ago, and of none that runs", async () => {
    const env = { STATEHOUSE_EVENT_RETENTION_DAYS: "7" };
    const { clock, tick, eventCount, stack } = await startWithHistory(env);
    clock.advance(6 * DAY);
    await tick();
    expect(await eventCount()).toBe(1);
    const running = await stack.begin();
    const events = [{ sequence: 0, timestamp: 1, stdoutEvent: { message: "hello", color: "never" } }];
    await running.send("POST", "/events/batch", { events });
    clock.advance(2 * DAY);
    // As late as this a renewal is still accepted: nobody has closed the update.
    await running.send("POST", "/renew_lease", { duration: 300 });
    await tick();
    expect(await eventCount()).toBe(0);
    const { body } = await stack.send("GET", `/update/${running.id}/events`);
    expect(body.events).toHaveLength(1);
  });
});

describe("a deleted stack", () => {
  it("is purged with its files; its neighbour keeps its own", async () => {
    const { server, tick } = await startGcServer();
    const gone = await new StackClient(server, "shop", "dev").init();
    const kept = await new StackClient(server, "shop", "kept").init();
    await importInto(gone, "one");
    await importInto(gone, "one", "two");
    await importInto(kept, "other");
    expect(await gone.send("DELETE", "?force=true")).toMatchObject({ status: 204 });
    expect(await storedFiles(server)).toHaveLength(3);
    await tick();
    expect(await storedFiles(server)).toHaveLength(1);
    expect((await gcRuns(server)).map((it) => done(it.counts))).toEqual([{ stacksPurged: 1 }]);
    expect((await kept.deployment()).deployment.resources).toHaveLength(1);
    await gone.init();
    expect(await results(gone)).toEqual([]);
  });
});

describe("a run", () => {
  /** Something for each sweep; nothing of it is due before `LEASE` has gone by. */
  async function startWithEverything() {
    const gc = await startGcServer({ STATEHOUSE_VERSIONS_KEEP: "1", STATEHOUSE_EVENT_RETENTION_DAYS: "1" });
    const { server, clock } = gc;
    const stack = await new StackClient(server, "shop", "dev").init();
    await importInto(stack, "one");
    await importInto(stack, "one", "two");
    const ended = await stack.begin();
    const events = [{ sequence: 0, timestamp: 1, stdoutEvent: { message: "hello", color: "never" } }];
    await ended.send("POST", "/events/batch", { events });
    await ended.complete();
    const forgotten = await stack.create();
    expect(await stack.send("POST", `/update/${forgotten}/cancel`)).toMatchObject({ status: 204 });
    const token = { name: "ci", organization: ORG, role: "viewer", expiresInSeconds: 60 };
    await send(server, "POST", "/api/admin/v1/tokens", token);
    clock.advance(2 * DAY);
    await stack.create();
    const deleted = await new StackClient(server, "shop", "deleted").init();
    await deleted.send("DELETE", "");
    clock.advance(HOUR);
    await (await new StackClient(server, "shop", "running").init()).begin();
    await putFile(join(blobRoot(server), "stacks/ab/abcdef/0123+"), clock, 25 * HOUR);
    await putFile(join(server.dataDir, "blobs", "tmp", "1-old"), clock, 25 * HOUR);
    clock.advance(LEASE + SECOND);
    return { ...gc, stack };
  }

  const EVERYTHING = {
    leasesEnded: 1,
    updatesDiscarded: 1,
    updatesRemoved: 1,
    tokensRemoved: 1,
    stacksPurged: 1,
    eventBatchesRemoved: 1,
    versionsRemoved: 2,
    artifactsRemoved: 0,
    orphanBlobsRemoved: 2,
    partialBlobsRemoved: 1,
  };

  it("does all of it together, keeps the result and counts it", async () => {
    const { server, clock } = await startWithEverything();
    expect(await sweepByHand(server)).toEqual(EVERYTHING);
    const at = new Date(clock.nowMs).toISOString();
    expect((await gcRuns(server))[0]).toEqual({
      id: expect.any(String),
      ...{ trigger: "api", dryRun: false, startedAt: at, endedAt: at, counts: EVERYTHING, error: null },
    });
    for (const [sweep, count] of Object.entries(EVERYTHING)) {
      expect(await metric(server, `statehouse_gc_items_total{sweep="${sweep}"}`), sweep).toBe(count);
    }
    expect(await metric(server, 'statehouse_gc_runs_total{result="ok"}')).toBeGreaterThan(0);
    expect(await metric(server, "statehouse_gc_seconds_count")).toBeGreaterThan(0);
    expect(done(await sweepByHand(server))).toEqual({});
  });

  it("that is dry says what it would do, and does nothing", async () => {
    const { server, stack } = await startWithEverything();
    const before = [await storedFiles(server), await server.ctx.db.statistics(), await results(stack)];
    const counts = await sweepByHand(server, true);
    // Blobs of versions that would go have their names still.
    const { orphanBlobsRemoved: _, ...others } = EVERYTHING;
    expect(counts).toMatchObject(others);
    expect([await storedFiles(server), await server.ctx.db.statistics(), await results(stack)]).toEqual(
      before,
    );
    expect(await metric(server, 'statehouse_gc_items_total{sweep="leasesEnded"}')).toBe(0);
    expect((await gcRuns(server))[0]).toMatchObject({ dryRun: true });
    // All of it is still there to be done.
    expect(await sweepByHand(server)).toEqual(EVERYTHING);
  });

  it("is one at a time: ticks that come together do the work once", async () => {
    const { server, tick } = await startWithEverything();
    const before = (await gcRuns(server)).length;
    await Promise.all([tick(), tick(), runGc(server.ctx, { trigger: "cron", dryRun: false }), tick()]);
    const runs = await gcRuns(server);
    expect(runs).toHaveLength(before + 1);
    expect(runs[0].counts.leasesEnded).toBe(1);
  });

  it("that somebody asks for during another comes after it, with a result of its own", async () => {
    const { server } = await startWithEverything();
    const [first, second] = await Promise.all([sweepByHand(server), sweepByHand(server)]);
    expect([first.leasesEnded, second.leasesEnded].sort()).toEqual([0, 1]);
    const [one, two] = await gcRuns(server);
    expect(one.id).not.toBe(two.id);
  });

  it("works in batches that are bounded, and still does all there is", async () => {
    const { server, clock } = await startGcServer();
    const stack = await new StackClient(server, "shop", "dev").init();
    const { id: stackId } = (await stack.send("GET", "")).body;
    const COUNT = 1_100;
    const input = {
      stackId,
      kind: "update",
      dryRun: false,
      actor: "x",
      config: null,
      metadata: "{}",
    } as const;
    await Promise.all(
      Array.from({ length: COUNT }, (_, index) =>
        server.ctx.db.createUpdate({ ...input, id: `u${index}`, nowMs: clock.nowMs }),
      ),
    );
    clock.advance(HOUR + SECOND);
    const limits: number[] = [];
    const scheduler = watchedScheduler(server, (step, given) => {
      if (step === "discardStaleUpdates") limits.push((given as { limit: number }).limit);
    });
    server.ctx.deadlines.note(clock.nowMs);
    await scheduler.tick();
    // Steps begin small, and follow what the one before took.
    expect(limits[0]).toBe(100);
    expect(limits.length).toBeGreaterThan(2);
    expect(Math.max(...limits)).toBeLessThanOrEqual(500);
    expect((await gcRuns(server))[0].counts.updatesDiscarded).toBe(COUNT);
  });

  it("goes on to the next sweep when one fails, says so, and tries again", async () => {
    const { server, clock, stack } = await startWithEverything();
    let isBroken = true;
    const scheduler = watchedScheduler(server, (step) => {
      if (isBroken && step === "removeEndedTokens") throw new Error("out of order");
    });
    server.ctx.deadlines.note(clock.nowMs);
    await scheduler.tick();
    const [run] = await gcRuns(server);
    expect(run.error).toBe("tokensRemoved: out of order");
    expect(run.counts).toMatchObject({
      leasesEnded: 1,
      tokensRemoved: 0,
      stacksPurged: 1,
      versionsRemoved: 2,
    });
    expect(await metric(server, 'statehouse_gc_runs_total{result="failed"}')).toBe(1);
    expect(await isBusy(stack)).toBe(false);
    isBroken = false;
    clock.advance(MINUTE);
    await scheduler.tick();
    expect((await gcRuns(server))[0]).toMatchObject({ error: null, counts: { tokensRemoved: 1 } });
  });
});

describe("when nothing is under way", () => {
  it("the database is left alone, however often the clock ticks", async () => {
    const { server, clock } = await startGcServer();
    const stack = await new StackClient(server, "shop", "dev").init();
    const update = await stack.begin();
    await update.complete();
    const calls: string[] = [];
    const scheduler = watchedScheduler(server, (step) => calls.push(step));
    // What was noted when the update was created and started: a look each, then nothing more to wait for.
    for (const wait of [LEASE, HOUR, DAY]) {
      clock.advance(wait);
      await scheduler.tick();
    }
    expect(calls.length).toBeGreaterThan(0);
    expect(server.ctx.deadlines.nextMs).toBeNull();
    calls.length = 0;
    for (let minute = 0; minute < 3 * 24 * 60; minute++) {
      clock.advance(MINUTE);
      await scheduler.tick();
    }
    expect(calls).toEqual([]);
  });

  it("it wakes for the next deadline, and not before", async () => {
    const { server, clock } = await startGcServer();
    const stack = await new StackClient(server, "shop", "dev").init();
    const calls: string[] = [];
    const scheduler = watchedScheduler(server, (step) => calls.push(step));
    const update = await stack.begin();
    for (let seconds = 0; seconds < 330; seconds += 10) {
      await scheduler.tick();
      expect(calls).toEqual([]);
      clock.advance(10 * SECOND);
    }
    clock.advance(SECOND);
    await scheduler.tick();
    expect(calls).toContain("listExpiredLeases");
    expect(await results(stack)).toEqual(["1 failed"]);
    expect(update.version).toBe(1);
  });

  it("a start looks once: a server that died may have left something", async () => {
    const { server, clock, tick } = await startGcServer();
    const calls: string[] = [];
    const scheduler = watchedScheduler(server, (step) => calls.push(step));
    expect(server.ctx.deadlines.nextMs).toBeNull();
    server.ctx.deadlines.note(0);
    await scheduler.tick();
    expect(calls).toContain("listExpiredLeases");
    await tick();
    clock.advance(MINUTE);
    calls.length = 0;
    await scheduler.tick();
    expect(calls).toEqual([]);
  });

  it("retention is looked at a few times a day", async () => {
    const { server, clock } = await startGcServer({ STATEHOUSE_VERSIONS_KEEP: "3" });
    let looks = 0;
    const scheduler = watchedScheduler(server, (step) => {
      if (step === "removeOldVersions") looks++;
    });
    for (let minute = 0; minute < 24 * 60; minute++) {
      await scheduler.tick();
      clock.advance(MINUTE);
    }
    expect(looks).toBe(4);
  });
});
