/**
 * Replays `pulumi up` against the server and against a null server, and says what an `up` costs.
 * Run it with --help; bench/README.md says what the figures mean.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makeTempDir, startNullServer, startServer } from "./support/child.ts";
import { aim, mebibytes, ms, table } from "./support/format.ts";
import { describeMachine, machineOf } from "./support/machine.ts";
import {
  type ClientsFigures,
  measureClients,
  measureReplay,
  type Replay,
  type ReplayFigures,
  type Servers,
} from "./support/measure.ts";

const HELP = `node bench/replay.ts [options]
  --n 10,100,1000,5000   resources of an up
  --batch 8              journal entries in a request, as the CLI sends them
  --clients 8            clients at once, with 10 resources each; 0 leaves them out
  --seconds 5            for how long the clients go on
  --runs N               runs of each case (default: 3 to 15, fewer for the large ones)
  --events-every 100     resources for each batch of 50 events
  --quick                the journal and the clients only: no batches of 100, no checkpoints
  --log-level LEVEL      of the server (default: its own)
  --cpu-prof DIR         has the server write its CPU profile to DIR
  --json                 figures for a machine`;

/** Until V8 has compiled what is used often: a server that has just started takes half as long again. */
const WARM_UP = { count: 100, runs: 40 };
const BATCH_VARIANT = 100;
const VERBATIM_COUNTS_MAX = 100;
const CLIENTS_COUNT = 10;
/** The issue's own: durable, batches of 8, in milliseconds. */
const AIMS_MS = new Map([
  [100, 60],
  [1000, 450],
  [5000, 2000],
]);
const AIM_UPDATES_PER_SECOND = 225;
const AIM_RATIO = 1.2;
/** Share of the machine that others may take before the figures mean little. */
const BYSTANDERS_MAX = 0.1;

const { values: options } = parseArgs({
  options: {
    n: { type: "string", default: "10,100,1000,5000" },
    batch: { type: "string", default: "8" },
    clients: { type: "string", default: "8" },
    seconds: { type: "string", default: "5" },
    runs: { type: "string" },
    "events-every": { type: "string", default: "100" },
    quick: { type: "boolean", default: false },
    "log-level": { type: "string" },
    "cpu-prof": { type: "string" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

function numberOption(name: string, text: string, min: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < min) throw new Error(`--${name}: ${text} is not a count`);
  return value;
}

const counts = options.n.split(",").map((text) => numberOption("n", text, 1));
const batchSize = numberOption("batch", options.batch, 1);
const clients = numberOption("clients", options.clients, 0);
const seconds = numberOption("seconds", options.seconds, 1);
const eventsEvery = numberOption("events-every", options["events-every"], 1);

function runsOf(count: number): number {
  if (options.runs !== undefined) return numberOption("runs", options.runs, 1);
  return Math.min(Math.max(Math.round(7000 / count), 3), 15);
}

function cases(): Replay[] {
  const journal = (size: number) =>
    counts.map((count) => ({ count, how: "journal" as const, batchSize: size, eventsEvery }));
  if (options.quick) return journal(batchSize);
  const verbatim = counts
    .filter((count) => count <= VERBATIM_COUNTS_MAX)
    .map((count) => ({ count, how: "verbatim" as const, batchSize, eventsEvery }));
  return [...journal(batchSize), ...journal(BATCH_VARIANT), ...verbatim];
}

function overFloorMicrosPerResource({ ms: measured, floorMs, count }: ReplayFigures): number {
  return ((measured - floorMs) * 1000) / count;
}

function nameOf({ how, batchSize: size }: Replay): string {
  return how === "verbatim" ? "verbatim checkpoints" : `journal, batches of ${size}`;
}

function rowOf(figures: ReplayFigures): string[] {
  const { count, requests, floorMs, cpuSeconds, floorCpuSeconds, peakRssBytes, runs } = figures;
  return [
    nameOf(figures),
    String(count),
    String(requests),
    ms(figures.ms),
    ms(figures.bestMs),
    ms(floorMs),
    ms(figures.ms - floorMs),
    `${overFloorMicrosPerResource(figures).toFixed(0)} µs`,
    ms(cpuSeconds * 1000),
    ms((cpuSeconds - floorCpuSeconds) * 1000),
    mebibytes(peakRssBytes),
    String(runs),
    `${(figures.bystanders * 100).toFixed(0)} %`,
  ];
}

const HEADER = [
  ...["up", "N", "requests", "time", "best", "floor", "over floor", "over floor / N"],
  ...["server CPU", "CPU over floor", "peak RSS", "runs", "others"],
];

function printReport(replays: readonly ReplayFigures[], many: ClientsFigures | null): void {
  console.log(`\n${table(HEADER, replays.map(rowOf))}\n`);
  const journal = replays.filter((it) => it.how === "journal" && it.batchSize === batchSize);
  for (const figures of journal) {
    const bound = AIMS_MS.get(figures.count);
    if (bound === undefined) continue;
    console.log(`N=${figures.count}: ${ms(figures.ms)}; ${aim(figures.ms, "<=", bound, "ms")}`);
  }
  const ratio = ratioOf(journal);
  if (ratio !== null) {
    console.log(
      `cost of a resource over the floor, N=5000 to N=100: ${ratio.toFixed(2)}; ${aim(ratio, "<=", AIM_RATIO, "")}`,
    );
  }
  if (many !== null) printClients(many);
  const others = Math.max(0, ...replays.map((it) => it.bystanders), many?.bystanders ?? 0);
  if (others <= BYSTANDERS_MAX) return;
  console.log(
    `\n*** Other processes took up to ${(others * 100).toFixed(0)} % of the machine: take none of these figures for the server's own ***`,
  );
}

function printClients(many: ClientsFigures): void {
  const { updatesPerSecond: rate, floorUpdatesPerSecond: floorRate } = many;
  console.log(
    `${many.clients} clients, N=${many.count}: ${rate.toFixed(0)} updates/s; ${aim(rate, ">=", AIM_UPDATES_PER_SECOND, "")}` +
      ` (floor ${floorRate.toFixed(0)} updates/s; server CPU ${ms(many.cpuSeconds * 1000)} an update; peak RSS ${mebibytes(many.peakRssBytes)})`,
  );
}

function ratioOf(journal: readonly ReplayFigures[]): number | null {
  const small = journal.find(({ count }) => count === 100);
  const large = journal.find(({ count }) => count === 5000);
  if (small === undefined || large === undefined) return null;
  return overFloorMicrosPerResource(large) / overFloorMicrosPerResource(small);
}

async function measureAll(servers: Servers, progress: (text: string) => void) {
  const warmUp = { how: "journal" as const, batchSize, eventsEvery, count: WARM_UP.count };
  await measureReplay(servers, warmUp, WARM_UP.runs);
  const replays: ReplayFigures[] = [];
  for (const replay of cases()) {
    const figures = await measureReplay(servers, replay, runsOf(replay.count));
    progress(`${nameOf(replay)}, N=${replay.count}: ${ms(figures.ms)}, floor ${ms(figures.floorMs)}`);
    replays.push(figures);
  }
  if (clients === 0) return { replays, many: null };
  const replay = { ...warmUp, count: CLIENTS_COUNT };
  return { replays, many: await measureClients(servers, replay, { clients, seconds }) };
}

async function main(): Promise<void> {
  const dir = makeTempDir();
  const machine = machineOf(dir);
  const progress = (text: string) => console.error(text);
  progress(describeMachine(machine));
  const cpuProf = options["cpu-prof"];
  const server = await startServer({
    dataDir: join(dir, "data"),
    ...(options["log-level"] === undefined ? {} : { env: { STATEHOUSE_LOG_LEVEL: options["log-level"] } }),
    ...(cpuProf === undefined ? {} : { nodeFlags: ["--cpu-prof", `--cpu-prof-dir=${cpuProf}`] }),
  });
  const floor = await startNullServer();
  const { replays, many } = await measureAll({ server, floor }, progress);
  await floor.stop();
  await server.stop();
  if (options.json) console.log(JSON.stringify({ machine, replays, clients: many }, null, 2));
  else printReport(replays, many);
}

if (options.help) console.log(HELP);
else await main();
