/** Real servers for tests: the whole app on a free port over a fresh folder, gone when the test ends. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { afterAll, beforeAll, onTestFinished } from "vitest";
import { readConfig } from "../../server/config/read.ts";
import { type RunningServer, startServer } from "../../server/start.ts";

export const ADMIN_TOKEN = "sth_admin_for_tests_only_0123456789";
export const ORG = "main";

/** Null unless the tests are to run on the second shape; what that needs is only loaded then. */
const shape = process.env.STATEHOUSE_TEST_SHAPE === "aurora" ? await import("./shape.ts") : null;
/** The database and the prefix of each data folder: who starts again on a folder finds the same data. */
const auroras = new Map<string, Record<string, string>>();

async function shapeOf(dataDir: string): Promise<Record<string, string>> {
  if (shape === null) return {};
  const env = auroras.get(dataDir) ?? (await shape.newAurora());
  auroras.set(dataDir, env);
  return env;
}

export interface TestServer extends RunningServer {
  readonly url: string;
  readonly dataDir: string;
  /** What the server logged, a line each. */
  readonly logLines: string[];
}

export interface TestServerOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly dataDir?: string;
  readonly nowMs?: () => number;
  /** `debug` unless given; a test that makes very many requests can do without their lines. */
  readonly logLevel?: "debug" | "warn";
}

export async function makeTempDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "statehouse-test-"));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** Started with its cron off: tests tick by hand. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const server = await openTestServer(options, options.dataDir ?? (await makeTempDir()));
  onTestFinished(server.stop);
  return server;
}

/** One server for all tests of a file, for those that use stacks of their own. */
export function shareTestServer(options: TestServerOptions = {}): () => TestServer {
  let shared: TestServer | null = null;
  beforeAll(async () => {
    const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), "statehouse-test-")));
    shared = await openTestServer(options, dataDir);
  });
  afterAll(async () => {
    await shared?.stop();
    if (shared !== null) await rm(shared.dataDir, { recursive: true, force: true });
  });
  return () => {
    if (shared === null) throw new Error("only inside a test");
    return shared;
  };
}

async function openTestServer(options: TestServerOptions, dataDir: string): Promise<TestServer> {
  const config = readConfig({
    STATEHOUSE_PORT: "0",
    STATEHOUSE_DATA_DIR: dataDir,
    STATEHOUSE_ADMIN_TOKEN: ADMIN_TOKEN,
    ...(await shapeOf(dataDir)),
    ...options.env,
  });
  const logLines: string[] = [];
  const log = pino(
    { level: options.logLevel ?? "debug" },
    { write: (line: string) => void logLines.push(line) },
  );
  const server = await startServer({
    config,
    log,
    isCronOn: false,
    ...(options.nowMs === undefined ? {} : { nowMs: options.nowMs }),
  });
  let isStopped = false;
  const stop = async () => {
    if (isStopped) return;
    isStopped = true;
    await server.stop();
  };
  return { ...server, stop, url: `http://127.0.0.1:${server.port}`, dataDir, logLines };
}
