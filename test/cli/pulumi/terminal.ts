/** A person at a terminal: a home folder of their own, projects in it, and the CLI. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { PULUMI_BIN } from "./pulumi.ts";

export type Env = Readonly<Record<string, string>>;

export interface Ran {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  /** Both streams as they came, as a person sees them. */
  readonly output: string;
}

const POLL_MS = 20;
const WAIT_MS = 60_000;
/** Longest time between the end of a command and the end of its output. */
const CLOSE_MS = 1000;

/** Tries until it gives something. @throws Error after a minute */
export async function waitFor<T>(what: string, look: () => T | null | Promise<T | null>): Promise<T> {
  const endMs = Date.now() + WAIT_MS;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (Date.now() > endMs) throw new Error(`waited in vain for ${what}`);
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

/** A command under way. */
export class Running {
  readonly child: ChildProcess;
  readonly done: Promise<Ran>;
  output = "";
  #stdout = "";

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
      this.output += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.output += text;
    });
    this.done = new Promise((resolve, reject) => {
      child.once("error", reject);
      const end = () => resolve({ code: child.exitCode, stdout: this.#stdout, output: this.output });
      child.once("close", end);
      // Plugins that outlive a killed CLI hold its streams open.
      child.once("exit", () => setTimeout(end, CLOSE_MS));
    });
  }

  async until(pattern: RegExp): Promise<void> {
    await waitFor(`${pattern} in:\n${this.output}`, () => {
      if (pattern.test(this.output)) return true;
      if (this.child.exitCode !== null) throw new Error(`ended without ${pattern}:\n${this.output}`);
      return null;
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}

/** A folder with a Pulumi program, and the commands that are typed in it. */
export class Project {
  readonly dir: string;
  readonly env: Env;
  /** What is typed into each command. */
  readonly typed: string;

  constructor(dir: string, env: Env, typed = "") {
    this.dir = dir;
    this.env = env;
    this.typed = typed;
  }

  /** The same folder with other settings of the environment. */
  with(env: Env, typed = this.typed): Project {
    return new Project(this.dir, { ...this.env, ...env }, typed);
  }

  start(...args: string[]): Running {
    if (PULUMI_BIN === null) throw new Error("there is no pulumi");
    const all = [...args, "--non-interactive", "--color", "never"];
    const child = spawn(PULUMI_BIN, all, {
      cwd: this.dir,
      env: this.env,
      stdio: ["pipe", "pipe", "pipe"],
    });
    child.stdin.on("error", () => undefined); // it may end before it reads
    child.stdin.end(this.typed);
    return new Running(child);
  }

  run(...args: string[]): Promise<Ran> {
    return this.start(...args).done;
  }

  /** Runs what has to succeed. @throws Error with everything it said */
  async ok(...args: string[]): Promise<string> {
    const { code, output, stdout } = await this.run(...args);
    if (code !== 0) throw new Error(`pulumi ${args.join(" ")} exited with ${code}:\n${output}`);
    return stdout;
  }

  /** Runs what has to be refused; all that it said. @throws Error when it succeeds */
  async fails(...args: string[]): Promise<string> {
    const { code, output } = await this.run(...args);
    if (code === 0) throw new Error(`pulumi ${args.join(" ")} succeeded:\n${output}`);
    return output;
  }

  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  async json(...args: string[]): Promise<any> {
    return JSON.parse(await this.ok(...args));
  }

  up(...args: string[]): Promise<string> {
    return this.ok("up", "--yes", "--skip-preview", ...args);
  }

  /** The state as the CLI gives it. */
  async export(...args: string[]): Promise<Exported> {
    return new Exported(await this.ok("stack", "export", ...args));
  }

  write(file: string, text: string): Promise<void> {
    return writeFile(join(this.dir, file), text);
  }

  read(file: string): Promise<string> {
    return readFile(join(this.dir, file), "utf8");
  }
}

export interface ExportedResource {
  readonly urn: string;
  readonly type: string;
  readonly protect?: boolean;
  readonly outputs?: Readonly<Record<string, unknown>>;
}

/** What `stack export` printed. */
export class Exported {
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: a state is looked into everywhere
  readonly document: any;

  constructor(text: string) {
    this.text = text;
    this.document = JSON.parse(text);
  }

  get resources(): readonly ExportedResource[] {
    return this.document.deployment.resources ?? [];
  }

  /** The names of the program's own resources, in order of the state. */
  get names(): string[] {
    const own = this.resources.filter(({ type }) => !type.startsWith("pulumi:p"));
    return own.map(({ urn }) => nameOf(urn));
  }

  /** Names and kinds of operations that nobody saw the end of. */
  get pending(): string[] {
    const operations: { type: string; resource: ExportedResource }[] =
      this.document.deployment.pending_operations ?? [];
    return operations.map(({ type, resource }) => `${type} ${nameOf(resource.urn)}`);
  }

  urn(name: string): string {
    const found = this.resources.find(({ urn }) => nameOf(urn) === name);
    if (found === undefined) throw new Error(`there is no ${name} among ${this.names}`);
    return found.urn;
  }

  resource(name: string): ExportedResource {
    const urn = this.urn(name);
    const found = this.resources.find((it) => it.urn === urn);
    if (found === undefined) throw new Error(`there is no ${urn}`);
    return found;
  }
}

function nameOf(urn: string): string {
  return urn.split("::").slice(3).join("::");
}

export class Terminal {
  readonly home: string;
  readonly env: Env;

  private constructor(home: string, env: Env) {
    this.home = home;
    this.env = env;
  }

  /** Nothing of the person who runs the tests is seen or touched. */
  static async open(env: Env = {}): Promise<Terminal> {
    const home = await mkdtemp(join(tmpdir(), "statehouse-cli-"));
    const bin = PULUMI_BIN === null ? [] : [dirname(PULUMI_BIN)];
    const path = [...bin, dirname(process.execPath), process.env.PATH ?? ""].join(delimiter);
    return new Terminal(home, {
      HOME: home,
      PATH: path,
      PULUMI_HOME: join(home, ".pulumi"),
      PULUMI_SKIP_UPDATE_CHECK: "true",
      // The CLI gathers a journal batch for 50 ms unless told otherwise.
      PULUMI_JOURNALING_BATCH_PERIOD: "5",
      ...env,
    });
  }

  /** Signs in to a server, as a person does once. */
  async login(url: string): Promise<void> {
    await new Project(this.home, this.env).ok("login", url);
  }

  async project(name: string): Promise<Project> {
    const dir = join(this.home, name);
    await mkdir(dir, { recursive: true });
    return new Project(dir, this.env);
  }

  /**
   * Ends what commands left behind: plugins outlive a killed CLI by minutes. They are known by their home folder.
   * Where there is no /proc they end by themselves.
   */
  async endLeftovers(): Promise<void> {
    const pids = (await readdir("/proc").catch(() => [])).filter((it) => /^\d+$/.test(it));
    for (const pid of pids) {
      const env = await readFile(`/proc/${pid}/environ`, "latin1").catch(() => "");
      if (!env.split("\0").includes(`HOME=${this.home}`)) continue;
      try {
        process.kill(Number(pid), "SIGKILL");
      } catch {
        // it has just ended
      }
    }
  }

  async close(): Promise<void> {
    await this.endLeftovers();
    await rm(this.home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
