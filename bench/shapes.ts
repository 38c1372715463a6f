/**
 * The replay of replay.ts on both shapes in one run: SQLite with a disk, and Postgres with S3. Run it with --help.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Child, makeTempDir, startNullServer } from "./support/child.ts";
import { aim, mebibytes, ms, table } from "./support/format.ts";
import { describeMachine, machineOf } from "./support/machine.ts";
import { measureClients, measureReplay, type Replay, type ReplayFigures } from "./support/measure.ts";
import { cpuSecondsOfFamily } from "./support/process-stats.ts";
import { type Shape, shapeNames, startShape } from "./support/shapes.ts";

const HELP = `node bench/shapes.ts [options]
  --shapes sqlite,postgres
  --n 10,100,1000        resources of an up
  --batch 8              journal entries in a request, as the CLI sends them
  --clients 8            clients at once, with 10 resources each; 0 leaves them out
  --seconds 5            for how long the clients go on
  --runs N               runs of each case (default: 3 to 9, fewer for the large ones)
  --cpu-prof DIR         has the servers write their CPU profiles to DIR`;

const { values: options } = parseArgs({
  options: {
    shapes: { type: "string", default: "sqlite,postgres" },
    n: { type: "string", default: "10,100,1000" },
    batch: { type: "string", default: "8" },
    clients: { type: "string", default: "8" },
    seconds: { type: "string", default: "5" },
    runs: { type: "string" },
    "cpu-prof": { type: "string" },
    help: { type: "boolean", default: false },
  },
});

/** Until V8 has compiled what is used often. */
const WARM_UP = { count: 100, runs: 30 };
const CLIENTS_COUNT = 10;
/** The issue's own for Postgres, in milliseconds. */
const AIMS_MS = new Map([
  [100, 120],
  [1000, 900],
]);
const BYSTANDERS_MAX = 0.1;
const HEADER = [
  ...["up", "N", "requests", "time", "best", "floor", "over floor / N", "server CPU"],
  ...["CPU of database and store", "peak RSS", "runs", "others"],
];

const journal: Omit<Replay, "count"> = { how: "journal", batchSize: Number(options.batch), eventsEvery: 100 };

function runsOf(count: number): number {
  return options.runs === undefined
    ? Math.min(Math.max(Math.round(5000 / count), 3), 9)
    : Number(options.runs);
}

function perResourceMicros({ ms: measured, floorMs, count }: ReplayFigures): number {
  return ((measured - floorMs) * 1000) / count;
}

async function measureShape(shape: Shape, floor: Child): Promise<void> {
  const servers = { server: shape.server, floor };
  await measureReplay(servers, { ...journal, count: WARM_UP.count }, WARM_UP.runs);
  const rows: string[][] = [];
  const all: ReplayFigures[] = [];
  for (const count of options.n.split(",").map(Number)) {
    const helpers = () => shape.server.helperPids.reduce((sum, pid) => sum + cpuSecondsOfFamily(pid), 0);
    const before = helpers();
    const figures = await measureReplay(servers, { ...journal, count }, runsOf(count));
    const helperMs = ((helpers() - before) * 1000) / figures.runs;
    all.push(figures);
    rows.push([
      ...[shape.name, String(count), String(figures.requests), ms(figures.ms), ms(figures.bestMs)],
      ...[ms(figures.floorMs), `${perResourceMicros(figures).toFixed(0)} µs`, ms(figures.cpuSeconds * 1000)],
      ...[ms(helperMs), mebibytes(figures.peakRssBytes), String(figures.runs)],
      `${(figures.bystanders * 100).toFixed(0)} %`,
    ]);
  }
  console.log(`\n${table(HEADER, rows)}`);
  if (shape.name === "postgres")
    for (const { count, ms: measured } of all) {
      const bound = AIMS_MS.get(count);
      if (bound !== undefined)
        console.log(`N=${count}: ${ms(measured)}; ${aim(measured, "<=", bound, "ms")}`);
    }
  const clients = Number(options.clients);
  if (clients > 0) {
    const input = { clients, seconds: Number(options.seconds) };
    const many = await measureClients(servers, { ...journal, count: CLIENTS_COUNT }, input);
    console.log(
      `${shape.name}: ${clients} clients, N=${CLIENTS_COUNT}: ${many.updatesPerSecond.toFixed(0)} updates/s ` +
        `(server CPU ${ms(many.cpuSeconds * 1000)} an update, others ${(many.bystanders * 100).toFixed(0)} %)`,
    );
  }
  const others = Math.max(...all.map(({ bystanders }) => bystanders));
  if (others > BYSTANDERS_MAX)
    console.log(`*** Other processes took up to ${(others * 100).toFixed(0)} % of the machine ***`);
}

if (options.help) console.log(HELP);
else {
  const dir = makeTempDir();
  console.error(describeMachine(machineOf(dir)));
  const floor = await startNullServer();
  for (const name of shapeNames(options.shapes)) {
    const profile = options["cpu-prof"];
    const shape = await startShape({
      ...{ name, dir },
      ...(profile === undefined
        ? {}
        : { nodeFlags: ["--cpu-prof", `--cpu-prof-dir=${join(profile, name)}`] }),
    });
    await measureShape(shape, floor);
    await shape.stop();
  }
  await floor.stop();
}
