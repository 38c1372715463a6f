/** Timed replays against a server and, in turn, against the null server. */
import type { Child } from "./child.ts";
import { Connection } from "./connection.ts";
import { median } from "./format.ts";
import { Bystanders, cpuSecondsOf, peakRssBytesOf, resetPeakRss } from "./process-stats.ts";
import { type ScriptOptions, scriptOf, type UpScript } from "./script.ts";
import { checkUp, createStack, playUp } from "./up.ts";

export interface Servers {
  readonly server: Child;
  readonly floor: Child;
}

/** One way to save N resources. */
export type Replay = Pick<ScriptOptions, "count" | "how" | "batchSize" | "eventsEvery">;

export interface ReplayFigures extends Replay {
  readonly runs: number;
  readonly requests: number;
  /** Medians of the runs, from the create call to the answer to complete. */
  readonly ms: number;
  readonly floorMs: number;
  /** The fastest run: what is left of a figure when the machine has other things to do. */
  readonly bestMs: number;
  /** Share of the machine that other processes took meanwhile. */
  readonly bystanders: number;
  /** CPU seconds of the server's process for one `up`, all threads; mean of the runs. */
  readonly cpuSeconds: number;
  readonly floorCpuSeconds: number;
  readonly peakRssBytes: number;
}

export interface ClientsFigures {
  readonly clients: number;
  readonly count: number;
  readonly seconds: number;
  readonly updatesPerSecond: number;
  readonly floorUpdatesPerSecond: number;
  /** Of the server's process, for one update. */
  readonly cpuSeconds: number;
  readonly peakRssBytes: number;
  readonly bystanders: number;
}

interface Run {
  readonly ms: number;
  readonly cpuSeconds: number;
  readonly requests: number;
}

let lastStack = 0;

function freshStack(): string {
  lastStack += 1;
  return `s${lastStack}`;
}

/** A fresh stack each time; the stack and the connection are made before the clock starts. */
async function timedUp(child: Child, script: UpScript): Promise<Run> {
  const connection = await Connection.open(child.port);
  try {
    await createStack(connection, script.stack);
    const cpuBefore = cpuSecondsOf(child.pid);
    const startedMs = performance.now();
    const requests = await playUp(connection, script);
    const ms = performance.now() - startedMs;
    return { ms, cpuSeconds: cpuSecondsOf(child.pid) - cpuBefore, requests };
  } finally {
    connection.close();
  }
}

/** Server and floor take turns, so that what else the machine does meets both. */
export async function measureReplay(servers: Servers, replay: Replay, runs: number): Promise<ReplayFigures> {
  const measured: Run[] = [];
  const floors: Run[] = [];
  const bystanders = new Bystanders([servers.server.pid, servers.floor.pid], servers.server.helperPids);
  resetPeakRss(servers.server.pid);
  for (let run = 0; run < runs; run++) {
    const script = scriptOf({ ...replay, stack: freshStack(), kind: "creates" });
    measured.push(await timedUp(servers.server, script));
    floors.push(await timedUp(servers.floor, script));
    await checkUp(servers.server.port, script.stack, replay.count);
  }
  const mean = (all: readonly Run[]) => all.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0) / runs;
  return {
    ...replay,
    runs,
    requests: measured[0]?.requests ?? 0,
    ms: median(measured.map(({ ms }) => ms)),
    floorMs: median(floors.map(({ ms }) => ms)),
    bestMs: Math.min(...measured.map(({ ms }) => ms)),
    bystanders: bystanders.share(),
    cpuSeconds: mean(measured),
    floorCpuSeconds: mean(floors),
    peakRssBytes: peakRssBytesOf(servers.server.pid),
  };
}

interface Client {
  readonly connection: Connection;
  readonly script: UpScript;
}

/** A client with a stack of its own, which a first `up` has filled: all that follow update it. */
async function openClient(child: Child, replay: Replay): Promise<Client> {
  const connection = await Connection.open(child.port);
  const stack = freshStack();
  await createStack(connection, stack);
  await playUp(connection, scriptOf({ ...replay, stack, kind: "creates" }));
  return { connection, script: scriptOf({ ...replay, stack, kind: "updates" }) };
}

async function updatesPerSecond(clients: readonly Client[], seconds: number): Promise<number> {
  let updates = 0;
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1000;
  await Promise.all(
    clients.map(async ({ connection, script }) => {
      while (performance.now() < endMs) {
        await playUp(connection, script);
        updates += 1;
      }
    }),
  );
  return (updates * 1000) / (performance.now() - startedMs);
}

/** Many clients at once, each with its own connection and stack. */
export async function measureClients(
  servers: Servers,
  replay: Replay,
  input: { readonly clients: number; readonly seconds: number },
): Promise<ClientsFigures> {
  const { server, floor } = servers;
  const openAll = (child: Child) =>
    Promise.all(Array.from({ length: input.clients }, () => openClient(child, replay)));
  const floorClients = await openAll(floor);
  await updatesPerSecond(floorClients, 1);
  const floorRate = await updatesPerSecond(floorClients, input.seconds);
  const clients = await openAll(server);
  await updatesPerSecond(clients, input.seconds); // warm
  resetPeakRss(server.pid);
  const bystanders = new Bystanders([server.pid, floor.pid], server.helperPids);
  const cpuBefore = cpuSecondsOf(server.pid);
  const startedMs = performance.now();
  const rate = await updatesPerSecond(clients, input.seconds);
  const elapsedSeconds = (performance.now() - startedMs) / 1000;
  const cpuSeconds = (cpuSecondsOf(server.pid) - cpuBefore) / (rate * elapsedSeconds);
  const peakRssBytes = peakRssBytesOf(server.pid);
  const others = bystanders.share();
  for (const { script } of clients) await checkUp(server.port, script.stack, replay.count);
  for (const { connection } of [...clients, ...floorClients]) connection.close();
  return {
    ...input,
    count: replay.count,
    updatesPerSecond: rate,
    floorUpdatesPerSecond: floorRate,
    cpuSeconds,
    peakRssBytes,
    bystanders: others,
  };
}
