/** The server as people run it: a process of its own, which can be killed and started again. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { ADMIN_TOKEN } from "../../support/server.ts";
import { type Env, waitFor } from "./terminal.ts";

const MAIN = fileURLToPath(new URL("../../../server/main.ts", import.meta.url));

/** Below the ports that systems give out by themselves: nobody gets ours while the server is down. */
const PORTS = { first: 20_000, last: 29_999 };

async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORTS.first, PORTS.last + 1);
    const probe = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      probe.once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    probe.close();
    await once(probe, "close");
    return port;
  }
}

export class ServerProcess {
  readonly url: string;
  readonly #env: Env;
  readonly #dir: string;
  #child: ChildProcess | null = null;
  #output = "";

  private constructor(dir: string, port: number, env: Env) {
    this.url = `http://127.0.0.1:${port}`;
    this.#dir = dir;
    this.#env = {
      PATH: process.env.PATH ?? "",
      STATEHOUSE_PORT: String(port),
      STATEHOUSE_DATA_DIR: dir,
      STATEHOUSE_ADMIN_TOKEN: ADMIN_TOKEN,
      STATEHOUSE_LOG_FORMAT: "json",
      ...env,
    };
  }

  /** Everything of it is in `dir`. */
  static async start(dir: string, env: Env = {}): Promise<ServerProcess> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const port = Number(env.STATEHOUSE_PORT ?? (await freePort()));
    const server = new ServerProcess(dir, port, env);
    await server.start();
    return server;
  }

  /** Starts on the same port and data as before; resolves when it is ready. */
  async start(): Promise<void> {
    // Its working folder has no .env of somebody's.
    const child = spawn(process.execPath, [MAIN, "serve"], {
      cwd: this.#dir,
      env: this.#env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    const keep = (text: string) => {
      this.#output = (this.#output + text).slice(-20_000);
    };
    child.once("exit", (code, signal) => {
      if (this.#child === child)
        console.error(`the server ended by itself (${code ?? signal}):\n${this.#output}`);
    });
    child.stdout.setEncoding("utf8").on("data", keep);
    child.stderr.setEncoding("utf8").on("data", keep);
    await waitFor("the server to be ready", async () => {
      if (child.exitCode !== null) throw new Error(`the server ended:\n${this.#output}`);
      const answer = await fetch(`${this.url}/readyz`).catch(() => null);
      return answer?.status === 200 ? true : null;
    });
  }

  /** SIGKILL: nothing is finished, nothing is tidied up. */
  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  stop(): Promise<void> {
    return this.#end("SIGTERM");
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    this.#child = null;
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  }
}
