import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { type Database, DatabaseUnavailableError, type UpdateRef } from "../../../db-adapters/contract.ts";
import { openPostgres } from "../../../db-adapters/postgres/open.ts";
import { makeDatabase, openFor } from "../../support/postgres.ts";
import { Cluster } from "./cluster.ts";

const UNAVAILABLE_WITHIN_MS = 5_000;
const DOWN_MS = 1_200;
const REF: UpdateRef = { organization: "acme", project: "p", stack: "s", updateId: "u" };

/** Keeps what its disk said: these tests are about what survives. */
async function makeCluster(): Promise<Cluster> {
  const cluster = await Cluster.start({ fsync: true });
  onTestFinished(() => cluster.remove());
  return cluster;
}

async function withRunningUpdate(db: Database): Promise<void> {
  await db.createOrganization({ id: "o", name: "acme", nowMs: 1 });
  await db.createStack({ id: "s", name: REF, tags: {}, state: null, nowMs: 1 });
  const update = {
    id: "u",
    stackId: "s",
    kind: "update",
    dryRun: false,
    actor: "a",
    metadata: "{}",
  } as const;
  await db.createUpdate({ ...update, config: null, nowMs: 1 });
  const lease = { leaseTokenHash: "t", leaseExpiresMs: 9, journalVersion: 1, cliVersion: null, tags: null };
  await db.startUpdate({ ref: REF, ...lease, nowMs: 1 });
}

/** Clients that go on and on, whatever happens to the database. */
class Traffic {
  readonly db: Database;
  readonly organizations: string[] = [];
  readonly digests: string[] = [];
  slowestFailureMs = 0;
  failures = 0;
  #isOver = false;
  readonly #lanes: Promise<void>[];

  constructor(db: Database) {
    this.db = db;
    const lanes = Array.from({ length: 6 }, (_, lane) => lane);
    this.#lanes = [...lanes.map((lane) => this.#create(lane)), ...lanes.map((lane) => this.#append(lane))];
  }

  get acknowledged(): number {
    return this.organizations.length + this.digests.length;
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#lanes);
  }

  /** Names are tried once each: one that failed may be there or not. */
  async #create(lane: number): Promise<void> {
    for (let i = 0; !this.#isOver; i += 1) {
      const name = `n${lane}-${i}`;
      const outcome = await this.#tried(() => this.db.createOrganization({ id: name, name, nowMs: 1 }));
      if (outcome !== null) this.organizations.push(name);
    }
  }

  /** Batches are tried until they are there, as the CLI does. */
  async #append(lane: number): Promise<void> {
    for (let i = 0; !this.#isOver; i += 1) {
      const digest = `d${lane}-${i}`;
      const body = new TextEncoder().encode(digest);
      const batch = { digest, entryCount: 1, sizeBytes: body.byteLength, body, journalBytesMax: 1e9 };
      const append = () => this.db.appendJournal({ ref: REF, tokenHash: "t", ...batch, nowMs: 1 });
      let outcome = await this.#tried(append);
      while (outcome === null) outcome = await this.#tried(append);
      expect(["appended", "already_appended"]).toContain(outcome.kind);
      this.digests.push(digest);
    }
  }

  /** Null when the database was not available; any other failure fails the test. */
  async #tried<T>(step: () => Promise<T>): Promise<T | null> {
    const startedMs = performance.now();
    try {
      return await step();
    } catch (error) {
      expect(error).toBeInstanceOf(DatabaseUnavailableError);
      this.failures += 1;
      this.slowestFailureMs = Math.max(this.slowestFailureMs, performance.now() - startedMs);
      await sleep(30);
      return null;
    }
  }
}

async function until(isSo: () => boolean, withinMs = 15_000): Promise<void> {
  for (const deadline = performance.now() + withinMs; !isSo(); await sleep(10))
    if (performance.now() > deadline) throw new Error("not in time");
}

describe("a database that stops in the middle of traffic", () => {
  it.each(["in order", "now"] as const)(
    "(%s) loses nothing acknowledged and is used again",
    async (how) => {
      const cluster = await makeCluster();
      const db = await openFor({ url: cluster.url });
      await withRunningUpdate(db);
      const traffic = new Traffic(db);
      for (let round = 0; round < 2; round += 1) {
        const before = traffic.acknowledged;
        await until(() => traffic.acknowledged > before + 50);
        await cluster.stop(how);
        await sleep(DOWN_MS);
        await cluster.start();
      }
      const before = traffic.acknowledged;
      await until(() => traffic.acknowledged > before + 50);
      await traffic.stop();
      expect(traffic.failures).toBeGreaterThan(0);
      expect(traffic.slowestFailureMs).toBeLessThan(UNAVAILABLE_WITHIN_MS);
      const stored = await db.listOrganizations({ after: null, limit: 1_000_000 });
      const names = new Set(stored.map((organization) => organization.name));
      expect(traffic.organizations.filter((name) => !names.has(name))).toEqual([]);
      const batches = await db.listJournalBatches("u", 0, 1_000_000);
      expect(batches.map((batch) => Buffer.from(batch.body).toString()).sort()).toEqual(
        traffic.digests.sort(),
      );
      const fold = await db.readFold("u", "t");
      expect(fold).toMatchObject({ input: { journalBatchCount: traffic.digests.length } });
    },
    90_000,
  );
});

/** Between the adapter and the database; says nothing more while `isSilent`. */
async function makeProxy(url: string): Promise<{ url: string; setSilent(isSilent: boolean): void }> {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  let isSilent = false;
  const server = createServer((client) => {
    sockets.add(client);
    const upstream = connect(Number(target.port || 5432), target.hostname);
    sockets.add(upstream);
    for (const [from, to] of [[client, upstream] as const, [upstream, client] as const]) {
      from.on("data", (bytes) => {
        if (!isSilent) to.write(bytes);
      });
      from.on("error", () => to.destroy()).on("close", () => to.destroy());
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  const proxied = new URL(url);
  proxied.hostname = "127.0.0.1";
  proxied.port = String(typeof address === "object" && address !== null ? address.port : 0);
  return {
    url: proxied.href,
    setSilent: (next) => {
      isSilent = next;
    },
  };
}

describe("a database that doesn't answer any more", () => {
  it("is given up within 5 s by what waits for it and what comes later, and used again", async () => {
    const proxy = await makeProxy(await makeDatabase());
    const db = await openFor({ url: proxy.url, poolMax: 2 });
    await db.createOrganization({ id: "o", name: "acme", nowMs: 1 });
    proxy.setSilent(true);
    const startedMs = performance.now();
    const calls = [
      db.ping(),
      db.findOrganization("acme"),
      db.createOrganization({ id: "p", name: "beta", nowMs: 1 }),
      db.replaceTags("s", {}),
      db.ping(),
    ];
    for (const outcome of await Promise.allSettled(calls))
      expect(outcome).toMatchObject({ reason: expect.any(DatabaseUnavailableError) });
    expect(performance.now() - startedMs).toBeLessThan(UNAVAILABLE_WITHIN_MS);
    proxy.setSilent(false);
    expect(await db.findOrganization("acme")).not.toBeNull();
  });
});

describe("opening", () => {
  it("waits for a database that starts", async () => {
    const cluster = await makeCluster();
    await cluster.stop();
    const opening = openFor({ url: cluster.url, connectWaitMs: 20_000 });
    await sleep(700);
    await cluster.start();
    await (await opening).ping();
  });

  it("gives up on one that isn't there", async () => {
    const opening = openPostgres({ url: "postgres://nobody@127.0.0.1:1/x", connectWaitMs: 300 });
    await expect(opening).rejects.toThrow(DatabaseUnavailableError);
  });

  it("doesn't wait where waiting won't help", async () => {
    const url = new URL(await makeDatabase());
    url.pathname = "/no_such_database";
    const startedMs = performance.now();
    await expect(openPostgres({ url: url.href })).rejects.toThrow(/no_such_database.*3D000/);
    expect(performance.now() - startedMs).toBeLessThan(2_000);
  });
});
