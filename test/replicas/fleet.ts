/** Three replicas of the real server on one Postgres and one S3 server, behind a balancer. */
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { makeEmptyDatabase } from "../support/postgres.ts";
import { type ServerProcess, spawnServer } from "../support/process.ts";
import { newPrefix, startS3 } from "../support/s3.ts";
import { makeTempDir } from "../support/server.ts";
import { type Backend, RoundRobin } from "./round-robin.ts";

const KEY = "7e".repeat(32);

/** One of them: killed and started again with the same settings, at another port each time. */
export class Replica implements Backend {
  readonly #dir: string;
  readonly #env: Readonly<Record<string, string>>;
  #process: ServerProcess | null = null;

  constructor(dir: string, env: Readonly<Record<string, string>>) {
    this.#dir = dir;
    this.#env = env;
  }

  get url(): string {
    return this.#process?.url ?? "";
  }

  async start(): Promise<void> {
    const server = spawnServer({ dataDir: this.#dir, env: this.#env });
    await server.ready();
    this.#process = server;
  }

  /** Dead on return, with no chance to do anything about it. */
  async kill(): Promise<void> {
    await this.#process?.kill();
    this.#process = null;
  }

  /** Stands still for a while, with all that it had in hand, and then goes on as if nothing had happened. */
  async pause(ms: number): Promise<void> {
    this.#process?.signal("SIGSTOP");
    await sleep(ms);
    this.#process?.signal("SIGCONT");
  }
}

export interface Fleet {
  readonly replicas: readonly Replica[];
  readonly proxy: RoundRobin;
  readonly databaseUrl: string;
}

/** All goes when the test ends. `env` is for each of them. */
export async function startFleet(env: Readonly<Record<string, string>> = {}): Promise<Fleet> {
  const s3 = await startS3();
  onTestFinished(() => s3.stop());
  const databaseUrl = await makeEmptyDatabase();
  const all = {
    ...s3.env,
    STATEHOUSE_MODE: "aurora",
    STATEHOUSE_REPLICAS: "3",
    STATEHOUSE_DATABASE_URL: databaseUrl,
    STATEHOUSE_S3_FORCE_PATH_STYLE: "true",
    STATEHOUSE_S3_PREFIX: newPrefix(),
    STATEHOUSE_ENCRYPTION_KEY: KEY,
    STATEHOUSE_LOG_LEVEL: "warn",
    ...env,
  };
  const replicas = [];
  for (let index = 0; index < 3; index++) replicas.push(new Replica(await makeTempDir(), all));
  await Promise.all(replicas.map((replica) => replica.start())); // on an empty database, all at once
  const proxy = await RoundRobin.start(replicas);
  onTestFinished(() => proxy.stop());
  return { replicas, proxy, databaseUrl };
}
