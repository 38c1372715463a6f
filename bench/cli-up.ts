/**
 * Wall time of a real `pulumi up` of N resources: Statehouse (a process of its own, default settings) beside the
 * `file://` backend, in turns within one run. The CLI gathers a journal batch for 50 ms unless
 * PULUMI_JOURNALING_BATCH_PERIOD says less, so Statehouse is shown with both.
 *
 *     node bench/cli-up.ts [--sizes 10,100,400] [--runs 3] [--parallel 32]
 *
 * How much a batch gathers depends on how many steps run at once: `--parallel`, which is four for each processor
 * unless it is given.
 *
 * The CLI is PULUMI_BIN, or `pulumi` on PATH. The resources are `pulumi:index:Stash`, which do nothing: what is
 * left is the CLI and the state backend. Each `up` is of a new stack and without a preview.
 */
import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ADMIN_TOKEN, makeTempDir, startServer } from "./support/child.ts";
import { aim, median } from "./support/format.ts";
import { describeMachine, machineOf } from "./support/machine.ts";

const PULUMI = process.env.PULUMI_BIN ?? "pulumi";
/** From this size on an up against Statehouse should take less time than one against files. */
const AIM_FROM = 100;

const { values: options } = parseArgs({
  options: {
    sizes: { type: "string", default: "10,100,400" },
    runs: { type: "string", default: "3" },
    parallel: { type: "string" },
  },
});

const PARALLEL = options.parallel === undefined ? [] : ["--parallel", options.parallel];

type Env = Readonly<Record<string, string>>;

/** One column: where the state goes, and how the CLI is set. */
interface Backend {
  readonly label: string;
  readonly home: string;
  readonly env: Env;
  readonly timesMs: Map<number, number[]>;
}

function pulumi(backend: Backend, dir: string, args: readonly string[]): Promise<void> {
  const child = spawn(PULUMI, [...args, "--non-interactive"], {
    cwd: dir,
    env: { PATH: process.env.PATH ?? "", ...backend.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  const keep = (text: string) => {
    said = (said + text).slice(-4000);
  };
  child.stdout.setEncoding("utf8").on("data", keep);
  child.stderr.setEncoding("utf8").on("data", keep);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`pulumi ${args.join(" ")} exited with ${code}:\n${said}`));
    });
  });
}

async function openBackend(root: string, label: string, url: string, env: Env): Promise<Backend> {
  const home = join(root, label.replaceAll(/\W+/g, "-"));
  await mkdir(home, { recursive: true });
  const backend: Backend = {
    label,
    home,
    env: {
      HOME: home,
      PULUMI_HOME: join(home, ".pulumi"),
      PULUMI_SKIP_UPDATE_CHECK: "true",
      PULUMI_ACCESS_TOKEN: ADMIN_TOKEN,
      PULUMI_CONFIG_PASSPHRASE: "bench",
      ...env,
    },
    timesMs: new Map(),
  };
  await pulumi(backend, home, ["login", url]);
  return backend;
}

/** JSON is YAML. */
function program(size: number): string {
  const names = Array.from({ length: size }, (_, index) => `stash${index}`);
  const resources = names.map((name) => [name, { type: "pulumi:index:Stash", properties: { input: name } }]);
  return JSON.stringify({ name: `bench${size}`, runtime: "yaml", resources: Object.fromEntries(resources) });
}

/** The time of one `up` of a stack that was made for it. */
async function timeUp(backend: Backend, size: number, stack: string): Promise<number> {
  const dir = join(backend.home, `${size}-${stack}`);
  await mkdir(dir);
  await writeFile(join(dir, "Pulumi.yaml"), program(size));
  await pulumi(backend, dir, ["stack", "init", `${stack}-${backend.label.replaceAll(/\W+/g, "-")}`]);
  const startedMs = performance.now();
  await pulumi(backend, dir, ["up", "--yes", "--skip-preview", ...PARALLEL]);
  return performance.now() - startedMs;
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

function print(backends: readonly Backend[], sizes: readonly number[]): void {
  const middle = (backend: Backend, size: number) => median(backend.timesMs.get(size) ?? []);
  console.log(row(["Stash resources", ...backends.map(({ label }) => label)]));
  console.log(row(["---", ...backends.map(() => "---:")]));
  for (const size of sizes) {
    const cells = backends.map((backend) => {
      const times = backend.timesMs.get(size) ?? [];
      const seconds = (value: number) => (value / 1000).toFixed(2);
      return `${seconds(middle(backend, size))} s (${seconds(Math.min(...times))} to ${seconds(Math.max(...times))})`;
    });
    console.log(row([String(size), ...cells]));
  }
  const [file, ...others] = backends;
  if (file === undefined) return;
  for (const backend of others) {
    for (const size of sizes.filter((it) => it >= AIM_FROM)) {
      const share = middle(backend, size) / middle(file, size);
      console.log(
        `\n${backend.label}, ${size}: ${share.toFixed(2)} × the time of files; ${aim(share, "<", 1, "")}`,
      );
    }
  }
}

async function main(): Promise<void> {
  const sizes = options.sizes.split(",").map(Number);
  const runs = Number(options.runs);
  const root = makeTempDir();
  const server = await startServer({ dataDir: join(root, "data") });
  const url = `http://127.0.0.1:${server.port}`;
  const files = join(root, "files");
  await mkdir(files);
  const backends = [
    await openBackend(root, "file backend", `file://${files}`, {}),
    await openBackend(root, "Statehouse", url, {}),
    await openBackend(root, "Statehouse, batch period 5 ms", url, { PULUMI_JOURNALING_BATCH_PERIOD: "5" }),
  ];
  const steps = PARALLEL.length === 0 ? "" : `; ${PARALLEL.join(" ")}`;
  console.log(`${describeMachine(machineOf(root))}; median of ${runs} (least to most)${steps}\n`);
  for (const backend of backends) await timeUp(backend, 1, "warm");
  for (const size of sizes) {
    for (let run = 0; run < runs; run++) {
      for (const backend of backends) {
        const times = backend.timesMs.get(size) ?? [];
        times.push(await timeUp(backend, size, `run${run}`));
        backend.timesMs.set(size, times);
      }
    }
  }
  print(backends, sizes);
  await server.stop();
}

await main();
