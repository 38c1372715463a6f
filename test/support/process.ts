/** The real server as a child process, to be killed, stopped and started again on the same folder. */
import { type ChildProcess, spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { ADMIN_TOKEN } from "./server.ts";

const ENTRIES = {
  sources: fileURLToPath(new URL("../../server/main.ts", import.meta.url)),
  /** What users run; `npm test` builds it first. */
  bundle: fileURLToPath(new URL("../../dist/main.js", import.meta.url)),
};
const READY_WITHIN_MS = 20_000;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ProcessOptions {
  readonly dataDir: string;
  /** Over the defaults: a free port, JSON logs, the tests' admin token. An empty value takes one away. */
  readonly env?: Readonly<Record<string, string>>;
  /** The sources unless said otherwise. */
  readonly entry?: keyof typeof ENTRIES;
}

/** Nothing of the tests' own environment reaches the server except what every program needs. */
function environmentOf({ dataDir, env = {} }: ProcessOptions): Record<string, string> {
  const all: Record<string, string> = {
    PATH: process.env.PATH ?? "",
    HOME: process.env.HOME ?? "",
    // Shared by all starts: what a start costs then is its own work, not the compiler's.
    NODE_COMPILE_CACHE: join(tmpdir(), "statehouse-test-compile-cache"),
    STATEHOUSE_PORT: "0",
    STATEHOUSE_DATA_DIR: dataDir,
    STATEHOUSE_ADMIN_TOKEN: ADMIN_TOKEN,
    STATEHOUSE_LOG_FORMAT: "json",
    ...env,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ""));
}

export class ServerProcess {
  readonly #child: ChildProcess;
  #stdout = "";
  #stderr = "";
  #exit: Exit | null = null;
  readonly #waiting = new Set<() => void>();
  readonly exited: Promise<Exit>;

  constructor(options: ProcessOptions) {
    this.#child = spawn(process.execPath, [ENTRIES[options.entry ?? "sources"]], {
      cwd: options.dataDir, // no .env of ours is read
      env: environmentOf(options),
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
      this.#wake();
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
      this.#wake();
    });
    this.exited = new Promise((resolve) => {
      // `close` comes after the last output, `exit` may come before it.
      this.#child.once("close", (code, signal) => {
        this.#exit = { code, signal };
        this.#wake();
        resolve(this.#exit);
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get isRunning(): boolean {
    return this.#exit === null;
  }

  /** Where it listens; "" until it does. */
  get url(): string {
    return (/Statehouse is ready at (http:\/\/\S+)/.exec(this.#stdout)?.[1] ?? "").replace(
      "//localhost:",
      "//127.0.0.1:",
    );
  }

  /** Resolves once `isSo` holds; throws with what the process said when it ends or the time is up. */
  async until(what: string, isSo: () => boolean, withinMs = READY_WITHIN_MS): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (!isSo()) {
      const leftMs = deadline - performance.now();
      if (this.#exit !== null || leftMs <= 0) {
        const end =
          this.#exit === null ? `not within ${withinMs} ms` : `it ended: ${JSON.stringify(this.#exit)}`;
        throw new Error(`waiting until the server ${what}: ${end}\n${this.#stdout}\n${this.#stderr}`);
      }
      await new Promise<void>((resolve) => {
        const wake = () => {
          clearTimeout(timer);
          this.#waiting.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, leftMs);
        this.#waiting.add(wake);
      });
    }
  }

  async ready(withinMs?: number): Promise<this> {
    await this.until("is ready", () => this.url !== "", withinMs);
    return this;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Dead on return, with no chance to do anything about it. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.exited;
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}

/** Not yet ready on return. Killed when the test ends, whatever became of it. */
export function spawnServer(options: ProcessOptions): ServerProcess {
  const server = new ServerProcess(options);
  onTestFinished(async () => {
    if (!server.isRunning) return;
    server.signal("SIGCONT"); // one that a test suspended
    await server.kill();
  });
  return server;
}
