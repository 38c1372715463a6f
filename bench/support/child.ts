/** Servers as child processes: the real one over a fresh folder, and the null server. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Connection } from "./connection.ts";

export const ADMIN_TOKEN = "sth_admin_for_the_bench_0123456789";
export const ORG = "main";
const ROOT = join(import.meta.dirname, "..", "..");
const READY_WITHIN_MS = 30_000;
const READY_POLL_MS = 2;
/** The server itself gives up draining after 25 s. */
const STOP_WITHIN_MS = 30_000;
const LOG_TAIL_LINES = 30;

export interface Child {
  readonly pid: number;
  readonly helperPids: readonly number[];
  /** Where its output goes. */
  readonly logPath: string;
  readonly port: number;
  /** From spawn to the first 200 of /readyz. */
  readonly readyMs: number;
  /** SIGTERM and wait. Throws when the process had ended by itself before. */
  stop(): Promise<void>;
}

export interface ServerOptions {
  readonly dataDir: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Flags for node itself, such as --cpu-prof. */
  readonly nodeFlags?: readonly string[];
  /** Of a database or a file store that it uses: their work is its work. */
  readonly helperPids?: readonly number[];
}

/** Of which nothing may be left, however the bench ends. */
const running = new Set<ChildProcess>();
const folders: string[] = [];
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder that is removed with everything in it when the bench ends. */
export function makeTempDir(): string {
  const dir = mkdtempSync(join(process.env.STATEHOUSE_BENCH_DIR ?? tmpdir(), "statehouse-bench-"));
  folders.push(dir);
  return dir;
}

export function freePort(): Promise<number> {
  return new Promise((done, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => done(port));
    });
  });
}

let built = false;

/**
 * What is started: the bundle, as `npm start` and the image run it, built anew by each bench; or what
 * STATEHOUSE_BENCH_ENTRY names, such as server/main.ts or another checkout's bundle to compare with.
 */
function entry(): string {
  const asked = process.env.STATEHOUSE_BENCH_ENTRY;
  if (asked !== undefined) return resolve(asked);
  if (!built) execFileSync(process.execPath, [join(ROOT, "scripts", "build.ts")], { stdio: "inherit" });
  built = true;
  return join(ROOT, "dist", "main.js");
}

/** The server as a user starts it: default settings, logs at their default level into a file. */
export async function startServer(options: ServerOptions): Promise<Child> {
  const port = await freePort();
  const env = {
    ...withoutStatehouse(process.env),
    STATEHOUSE_HOST: "127.0.0.1",
    STATEHOUSE_PORT: String(port),
    STATEHOUSE_DATA_DIR: options.dataDir,
    STATEHOUSE_ADMIN_TOKEN: ADMIN_TOKEN,
    ...options.env,
  };
  const args = [...(options.nodeFlags ?? []), entry()];
  const child = await startChild(args, env, port, `${options.dataDir}.log`);
  return { ...child, helperPids: options.helperPids ?? [] };
}

/** `bench/null-server.ts`: the floor. */
export async function startNullServer(): Promise<Child> {
  const port = await freePort();
  const args = [join(import.meta.dirname, "..", "null-server.ts"), String(port)];
  return startChild(args, withoutStatehouse(process.env), port, join(makeTempDir(), "null.log"));
}

/** Settings of whoever runs the bench must not reach the server. */
function withoutStatehouse(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("STATEHOUSE_")));
}

async function startChild(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  port: number,
  logPath: string,
): Promise<Child> {
  const log = openSync(logPath, "a");
  const startedMs = performance.now();
  // cwd: a .env file of the checkout is not ours to read.
  const child = spawn(process.execPath, args, { env, cwd: tmpdir(), stdio: ["ignore", log, log] });
  closeSync(log);
  const { pid } = child;
  if (pid === undefined) throw new Error(`cannot start node ${args.join(" ")}`);
  running.add(child);
  try {
    await becomesReady(child, port, startedMs);
  } catch (error) {
    child.kill("SIGKILL");
    throw new Error(`${String(error)}\n${tailOf(logPath)}`);
  }
  const readyMs = performance.now() - startedMs;
  const stop = async () => {
    running.delete(child);
    if (hasEnded(child)) throw new Error(`the server ended by itself:\n${tailOf(logPath)}`);
    await stopped(child);
  };
  return { pid, helperPids: [], logPath, port, readyMs, stop };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function becomesReady(child: ChildProcess, port: number, startedMs: number): Promise<void> {
  while (performance.now() - startedMs < READY_WITHIN_MS) {
    if (hasEnded(child)) throw new Error("the server ended before it was ready");
    if (await isReady(port)) return;
    await new Promise((done) => setTimeout(done, READY_POLL_MS));
  }
  throw new Error(`the server was not ready within ${READY_WITHIN_MS} ms`);
}

async function isReady(port: number): Promise<boolean> {
  try {
    const connection = await Connection.open(port);
    const { status } = await connection.send("GET", "/readyz", "none", null);
    connection.close();
    return status === 200;
  } catch {
    return false; // nobody listens yet
  }
}

function stopped(child: ChildProcess): Promise<void> {
  return new Promise((done, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`the server did not stop within ${STOP_WITHIN_MS} ms`));
    }, STOP_WITHIN_MS);
    child.once("exit", () => {
      clearTimeout(timer);
      done();
    });
    child.kill("SIGTERM");
  });
}

function tailOf(path: string): string {
  return readFileSync(path, "utf8").trimEnd().split("\n").slice(-LOG_TAIL_LINES).join("\n");
}
