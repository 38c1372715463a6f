/**
 * A Postgres and an S3 server for the bench alone, gone when it ends. Postgres is that of the tests, durable here;
 * S3 is what STATEHOUSE_TEST_S3_URL names, or a MinIO whose program STATEHOUSE_BENCH_MINIO names, or s3rver.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { Cluster } from "../../test/db-adapters/postgres/cluster.ts";
import { startS3, type TestS3 } from "../../test/support/s3.ts";
import { freePort, makeTempDir } from "./child.ts";

const MINIO_WITHIN_MS = 20_000;
const MINIO_KEYS = { id: "statehouse-bench", secret: "statehouse-bench-secret" };

export interface Services {
  /** What a server needs to use them. */
  readonly env: Readonly<Record<string, string>>;
  readonly databaseUrl: string;
  /** Whose work is the server's too. */
  readonly pids: readonly number[];
  readonly description: string;
  stop(): Promise<void>;
}

interface Files {
  readonly s3: TestS3;
  readonly name: string;
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

const children = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

async function startMinio(program: string): Promise<Files> {
  const dir = join(makeTempDir(), "minio");
  mkdirSync(dir);
  const port = await freePort();
  const child = spawn(program, ["server", "--quiet", "--address", `127.0.0.1:${port}`, dir], {
    env: {
      ...process.env,
      MINIO_ROOT_USER: MINIO_KEYS.id,
      MINIO_ROOT_PASSWORD: MINIO_KEYS.secret,
      MINIO_UPDATE: "off",
    },
    stdio: "ignore",
  });
  children.add(child);
  const url = `http://127.0.0.1:${port}`;
  for (const deadline = performance.now() + MINIO_WITHIN_MS; ; await sleep(50)) {
    const answer = await fetch(`${url}/minio/health/ready`).catch(() => null);
    if (answer?.ok === true) break;
    if (performance.now() > deadline) throw new Error(`${program} was not ready in time`);
  }
  process.env.STATEHOUSE_TEST_S3_URL = url;
  process.env.AWS_ACCESS_KEY_ID = MINIO_KEYS.id;
  process.env.AWS_SECRET_ACCESS_KEY = MINIO_KEYS.secret;
  const stop = async () => {
    children.delete(child);
    child.kill("SIGKILL");
  };
  return { s3: await startS3(), name: "MinIO on a disk", pids: [child.pid ?? -1], stop };
}

async function startFiles(): Promise<Files> {
  const program = process.env.STATEHOUSE_BENCH_MINIO;
  if (program !== undefined) return startMinio(program);
  const s3 = await startS3();
  return { s3, name: s3.isS3rver ? "s3rver in memory" : "S3", pids: [], stop: () => s3.stop() };
}

/** `settings` are Postgres's own. */
export async function startServices(settings: Readonly<Record<string, string>> = {}): Promise<Services> {
  const cluster = await Cluster.start({ fsync: true, settings });
  process.once("exit", () => {
    if (cluster.pid > 0) process.kill(cluster.pid, "SIGQUIT");
    rmSync(cluster.dir, { recursive: true, force: true });
  });
  const files = await startFiles();
  const client = new pg.Client({ connectionString: cluster.url });
  await client.connect();
  await client.query("create database bench");
  const { rows } = await client.query<{ server_version: string }>("show server_version");
  await client.end();
  const databaseUrl = new URL("/bench", cluster.url).href;
  return {
    env: {
      STATEHOUSE_MODE: "aurora",
      STATEHOUSE_DATABASE_URL: databaseUrl,
      STATEHOUSE_ENCRYPTION_KEY: randomBytes(32).toString("hex"),
      STATEHOUSE_S3_FORCE_PATH_STYLE: "true",
      STATEHOUSE_S3_PREFIX: "bench",
      ...files.s3.env,
    },
    databaseUrl,
    pids: [cluster.pid, ...files.pids],
    description: `Postgres ${rows[0]?.server_version} (fsync on) and ${files.name}`,
    stop: async () => {
      await cluster.remove();
      await files.stop();
    },
  };
}
