/**
 * The real server under real traffic, killed at random moments and started again on the same folder. What was
 * acknowledged is there, every time. STATEHOUSE_TEST_KILLS sets how often, STATEHOUSE_TEST_SEED replays the
 * choices of a run that failed.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import SqliteDatabase from "better-sqlite3";
import { expect, it } from "vitest";
import { type ServerProcess, spawnServer } from "../support/process.ts";
import { makeTempDir, startTestServer } from "../support/server.ts";
import { DiskShim, hasDiskShim } from "../support/shim.ts";
import { Random } from "./random.ts";
import { StackActor, type Tally } from "./stack-actor.ts";

const KILLS = Number(process.env.STATEHOUSE_TEST_KILLS ?? 30);
const SEED = Number(process.env.STATEHOUSE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const ACTORS = 6;
const TRAFFIC_MS_MAX = 500;
const ACKNOWLEDGEMENTS_MAX = 30;
/** Before it says that it is ready: migrations, the lock, the database. */
const START_MS_MAX = 900;
/** On such a disk whatever is answered before it is stored is lost for sure. */
const SLOW_SYNC_US = 60_000;
const DAY_MS = 86_400_000;
/** What has to have happened, or the loop has shown nothing. */
const DEEDS = ["create", "start", "journal", "checkpoint", "events", "renew", "complete", "cancel", "import"];
const MORE_DEEDS = ["encrypt", "rename", "delete", "abandon", "sweep"];

class Loop {
  readonly #dataDir: string;
  readonly #slowDisk: DiskShim | null;
  readonly #random = new Random(SEED);
  readonly tally: Tally = {
    acknowledged: new Map(),
    unknown: new Map(),
    onAcknowledged: () => undefined,
  };
  readonly #actors: readonly StackActor[];
  #process: ServerProcess | null = null;

  constructor(dataDir: string, slowDisk: DiskShim | null) {
    this.#dataDir = dataDir;
    this.#slowDisk = slowDisk;
    const current = () => this.#process;
    const server = {
      get url(): string {
        return current()?.url ?? "";
      },
      get isRunning(): boolean {
        return current()?.isRunning ?? false;
      },
    };
    this.#actors = Array.from(
      { length: ACTORS },
      (_, index) => new StackActor(server, this.#random.fork(), `s${index}`, this.tally),
    );
  }

  #spawn(isSlow = false): ServerProcess {
    const env = { STATEHOUSE_LEASE_GRACE_SECONDS: "0", ...(isSlow ? this.#slowDisk?.env : {}) };
    this.#process = spawnServer({ dataDir: this.#dataDir, env });
    return this.#process;
  }

  async round(): Promise<void> {
    if (this.#random.chance(0.15)) {
      const early = this.#spawn();
      await sleep(this.#random.between(0, START_MS_MAX));
      await early.kill();
    }
    const server = await this.#spawn(this.#random.chance(0.3)).ready();
    await this.#checkAll();
    const lives = this.#actors.map((actor) => actor.live());
    await Promise.race([this.#moment(server), ...lives.map(onlyFailures)]);
    await server.kill();
    await Promise.all(lives);
  }

  /** Any time, or right after something was acknowledged: that must be kept already. */
  async #moment(server: ServerProcess): Promise<void> {
    const atAcknowledgement = this.#random.chance(0.5);
    let left = this.#random.between(1, ACKNOWLEDGEMENTS_MAX);
    this.tally.onAcknowledged = () => {
      if (atAcknowledgement && --left === 0) server.signal("SIGKILL");
    };
    const waitMs = atAcknowledgement ? TRAFFIC_MS_MAX : this.#random.between(10, TRAFFIC_MS_MAX);
    await Promise.race([server.exited, sleep(waitMs)]);
    this.tally.onAcknowledged = () => undefined;
  }

  /** Everybody ends what they do; then the server is stopped the gentle way. */
  async finish(): Promise<void> {
    const server = await this.#spawn().ready();
    await this.#checkAll();
    for (const actor of this.#actors) await actor.finish();
    server.signal("SIGTERM");
    expect(await server.exited).toEqual({ code: 0, signal: null });
  }

  async #checkAll(): Promise<void> {
    await Promise.all(this.#actors.map((actor) => actor.check(false)));
  }
}

/** Ends a race only by failing: a life that is over early waits for the kill like the others. */
function onlyFailures(life: Promise<void>): Promise<never> {
  return new Promise((_, reject) => {
    life.catch(reject);
  });
}

/** Keys of the files below `blobs/`. */
async function storedKeys(dataDir: string): Promise<string[]> {
  const root = join(dataDir, "blobs", "blobs");
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((it) => it.isFile());
  return files
    .map((it) =>
      join(it.parentPath, it.name)
        .slice(root.length + 1)
        .replace(/\+$/, ""),
    )
    .sort();
}

function namedKeys(dataDir: string): string[] {
  const database = new SqliteDatabase(join(dataDir, "statehouse.db"), { readonly: true });
  const text = `select blob_key from state_version where sealed is null union
    select checkpoint_blob_key from stack_update where checkpoint_blob_key is not null`;
  const keys = database.prepare<[], string>(text).pluck().all();
  database.close();
  return keys.sort();
}

it(
  `loses nothing that it acknowledged in ${KILLS} kills (seed ${SEED})`,
  async () => {
    const dataDir = await makeTempDir();
    const slowDisk = hasDiskShim()
      ? new DiskShim({ dir: await makeTempDir(), root: dataDir, syncUs: SLOW_SYNC_US })
      : null;
    const loop = new Loop(dataDir, slowDisk);
    try {
      for (let kill = 0; kill < KILLS; kill++) await loop.round();
      await loop.finish();
    } catch (error) {
      throw new Error(`STATEHOUSE_TEST_SEED=${SEED} STATEHOUSE_TEST_KILLS=${KILLS}`, { cause: error });
    }
    const { acknowledged, unknown } = loop.tally;
    console.log("acknowledged", Object.fromEntries(acknowledged), "cut off", Object.fromEntries(unknown));
    expect([...acknowledged.keys()]).toEqual(expect.arrayContaining([...DEEDS, ...MORE_DEEDS]));
    expect(unknown.size).toBeGreaterThan(2);

    // Far enough in the future that every file which no row names is old enough to go.
    const later = await startTestServer({ dataDir, nowMs: () => Date.now() + 3 * DAY_MS });
    await later.scheduler.tick();
    await later.stop();
    expect(namedKeys(dataDir).length).toBeGreaterThan(0);
    expect(await storedKeys(dataDir)).toEqual(namedKeys(dataDir));
    expect(await readdir(join(dataDir, "blobs", "tmp"))).toEqual([]);
  },
  60_000 + KILLS * 6_000,
);
