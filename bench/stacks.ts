/**
 * 10,000 stacks, listed and searched over HTTP on both shapes: each page of GET /api/user/stacks, with every filter.
 *
 *     node bench/stacks.ts [--shapes sqlite,postgres] [--stacks 10000] [--runs 60]
 */
import { parseArgs } from "node:util";
import type { SharedDatabase } from "../db-adapters/contract.ts";
import { ADMIN_TOKEN, makeTempDir, ORG } from "./support/child.ts";
import { Connection } from "./support/connection.ts";
import { aim, median, ms, table } from "./support/format.ts";
import { describeMachine, machineOf } from "./support/machine.ts";
import { Bystanders } from "./support/process-stats.ts";
import { type Shape, shapeNames, startShape } from "./support/shapes.ts";

const { values: options } = parseArgs({
  options: {
    shapes: { type: "string", default: "sqlite,postgres" },
    stacks: { type: "string", default: "10000" },
    runs: { type: "string", default: "60" },
  },
});
const STACKS = Number(options.stacks);
const RUNS = Number(options.runs);
const WARM_UP_RUNS = 20;
const PROJECTS = 100;
const AT_ONCE = 32;
const PAGE = 500;
const AIM_MS = 20;

/** Stack `index`; every tenth project is large, one stack in a thousand is rare. */
function tagsOf(index: number): Record<string, string> {
  return {
    "pulumi:project": projectOf(index),
    "pulumi:runtime": "nodejs",
    environment: index % 3 === 0 ? "production" : "staging",
    owner: `team-${index % 200}`,
    ...(index % 1000 === 7 ? { rare: "yes" } : {}),
  };
}

function projectOf(index: number): string {
  return `project-${String(index % PROJECTS).padStart(3, "0")}`;
}

async function fill(db: SharedDatabase): Promise<void> {
  const nowMs = Date.now();
  let next = 0;
  const worker = async () => {
    while (next < STACKS) {
      const index = next++;
      const name = { organization: ORG, project: projectOf(index), stack: `stack-${index}` };
      await db.createStack({ id: `s-${index}`, name, tags: tagsOf(index), state: null, nowMs });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

interface Search {
  readonly what: string;
  readonly query: string;
  /** Stacks that the page has to hold. */
  readonly expected: number;
}

function tokenAt(index: number): string {
  const key = `${ORG}/${projectOf(index)}/stack-${index}`;
  return Buffer.from(key).toString("base64url");
}

function searches(middle: string, last: string): Search[] {
  const page = Math.min(PAGE, STACKS);
  const inProject = Math.min(page, Math.ceil((STACKS - 42) / PROJECTS));
  const count = (has: (index: number) => boolean) =>
    Math.min(page, Array.from({ length: STACKS }, (_, index) => index).filter(has).length);
  return [
    { what: "first page", query: "", expected: page },
    { what: "a page in the middle", query: `continuationToken=${middle}`, expected: page },
    { what: "the last page", query: `continuationToken=${last}`, expected: 0 },
    { what: "organization", query: `organization=${ORG}`, expected: page },
    { what: "project", query: "project=project-042", expected: inProject },
    { what: "tag that most have", query: "tagName=environment&tagValue=staging", expected: page },
    {
      what: "that tag, in the middle",
      query: `tagName=environment&tagValue=staging&continuationToken=${middle}`,
      expected: page,
    },
    {
      what: "tag of 1 in 200",
      query: "tagName=owner&tagValue=team-7",
      expected: count((it) => it % 200 === 7),
    },
    { what: "tag of 1 in 1,000", query: "tagName=rare", expected: count((it) => it % 1000 === 7) },
    { what: "tag that nobody has", query: "tagName=owner&tagValue=nobody", expected: 0 },
    {
      what: "project and tag",
      query: "project=project-007&tagName=owner&tagValue=team-7",
      expected: count((it) => it % 100 === 7 && it % 200 === 7),
    },
  ];
}

async function timesOf(shape: Shape, { what, query, expected }: Search): Promise<number[]> {
  const connection = await Connection.open(shape.server.port);
  const times: number[] = [];
  for (let run = 0; run < WARM_UP_RUNS + RUNS; run++) {
    const startedMs = performance.now();
    const path = `/api/user/stacks${query === "" ? "" : `?${query}`}`;
    const answer = await connection.send("GET", path, `token ${ADMIN_TOKEN}`, null);
    if (run >= WARM_UP_RUNS) times.push(performance.now() - startedMs);
    if (answer.status !== 200) throw new Error(`${what}: ${answer.status} ${answer.body.toString()}`);
    const { stacks } = JSON.parse(answer.body.toString("utf8")) as { stacks: unknown[] };
    if (stacks.length !== expected)
      throw new Error(`${what}: ${stacks.length} stacks, ${expected} were to be found`);
  }
  connection.close();
  return times;
}

async function measure(shape: Shape): Promise<void> {
  const bystanders = new Bystanders([shape.server.pid], shape.server.helperPids);
  // Names in the order of the list: by project, then by the stack's name as text.
  const names = Array.from({ length: STACKS }, (_, index) => index).sort((a, b) =>
    `${projectOf(a)}/stack-${a}` < `${projectOf(b)}/stack-${b}` ? -1 : 1,
  );
  const rows: string[][] = [];
  let worst = 0;
  for (const search of searches(tokenAt(names[STACKS >> 1] ?? 0), tokenAt(names.at(-1) ?? 0))) {
    const times = (await timesOf(shape, search)).sort((a, b) => a - b);
    worst = Math.max(worst, median(times));
    const p95 = times[Math.floor(times.length * 0.95)] ?? 0;
    rows.push([search.what, String(search.expected), ms(median(times)), ms(p95)]);
  }
  console.log(`\n${table([`${shape.name}: ${STACKS} stacks`, "found", "median", "p95"], rows)}`);
  console.log(`slowest: ${ms(worst)}; ${aim(worst, "<", AIM_MS, "ms")}`);
  console.log(`others took ${(bystanders.share() * 100).toFixed(0)} % of the machine`);
}

const dir = makeTempDir();
console.error(describeMachine(machineOf(dir)));
for (const name of shapeNames(options.shapes)) {
  const shape = await startShape({ name, dir, fill });
  await measure(shape);
  await shape.stop();
}
