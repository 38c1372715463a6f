/**
 * Many clients, few stacks, three replicas that are killed, started again and held up; each request goes to
 * another one. What the clients saw must be what one server could have answered, and what they were told is kept
 * must be there. STATEHOUSE_TEST_LOCK_OPERATIONS sets how many requests each client makes (2000 is the full
 * setting), STATEHOUSE_TEST_SEED replays the choices of a run that failed.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { Random } from "../crash/random.ts";
import { PROJECT } from "../crash/state-model.ts";
import { StackClient } from "../support/client.ts";
import { checkHistory } from "./check-history.ts";
import { type Replica, startFleet } from "./fleet.ts";
import type { Operation, StackEnd, Version } from "./history.ts";
import { type Arena, LockClient } from "./lock-client.ts";

const CLIENTS = 8;
const OPERATIONS = Number(process.env.STATEHOUSE_TEST_LOCK_OPERATIONS ?? 250);
const SEED = Number(process.env.STATEHOUSE_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const STACKS = ["one", "two", "three"];
const BETWEEN_KILLS_MS_MAX = 1_500;
const PAUSE_MS_MAX = 700;
const PAGE_SIZE = 100;

/** Kills, holds up and starts replicas until it is told to stop; all of them run on return. */
async function disturb(replicas: readonly Replica[], random: Random, isOver: () => boolean) {
  const deeds = { kills: 0, pauses: 0 };
  while (!isOver()) {
    await sleep(random.between(200, BETWEEN_KILLS_MS_MAX));
    if (random.chance(0.25)) {
      deeds.pauses++;
      await random.pick(replicas).pause(random.between(50, PAUSE_MS_MAX));
      continue;
    }
    const first = random.between(0, replicas.length - 1);
    const count = random.chance(0.2) ? 2 : 1;
    const victims = Array.from({ length: count }, (_, index) => replicas[(first + index) % replicas.length]);
    deeds.kills += count;
    await Promise.all(victims.map((victim) => victim?.kill()));
    await sleep(random.between(0, 300));
    await Promise.all(victims.map((victim) => victim?.start()));
  }
  return deeds;
}

/** Ends what nobody ends any more. A cancel is refused by what has ended already. */
async function endAll(arena: Arena, client: LockClient): Promise<void> {
  for (const [stack, updates] of arena.open)
    for (const updateId of [...updates])
      expect(await client.cancel(stack, updateId), "with all replicas up").not.toBe("unknown");
}

async function endOf(server: { readonly url: string }, name: string): Promise<StackEnd> {
  const stack = new StackClient(server, PROJECT, name);
  const versions: Version[] = [];
  for (let page = 1; ; page++) {
    const { body } = await stack.send("GET", `/updates?pageSize=${PAGE_SIZE}&page=${page}`);
    for (const { version, updateID, result } of body.updates)
      versions.push({ version, updateId: updateID, result, names: await namesOf(stack, version) });
    if (body.updates.length < PAGE_SIZE) break;
  }
  const { body } = await stack.send("GET", "");
  return { stack: name, versions: versions.reverse(), isHeld: body.currentOperation !== undefined };
}

async function namesOf(stack: StackClient, version: number): Promise<string[] | null> {
  const { status, text, body } = await stack.send("GET", `/export/${version}`);
  if (status === 404) return null;
  if (status !== 200) throw new Error(`version ${version} of ${stack.stack}: ${status} ${text}`);
  const resources: readonly { urn: string }[] = body.deployment.resources ?? [];
  return resources.map(({ urn }) => urn.split("::").at(-1) ?? "");
}

function tallyOf(history: readonly Operation[]): Record<string, string> {
  const byKind = Map.groupBy(history, ({ kind }) => kind);
  const count = (all: readonly Operation[], outcome: string) =>
    all.filter((it) => it.outcome === outcome).length;
  return Object.fromEntries(
    [...byKind].map(([kind, all]) => [
      kind,
      `${count(all, "done")} done, ${count(all, "refused")} refused, ${count(all, "unknown")} unknown`,
    ]),
  );
}

it(
  `grants each stack to one at a time and loses nothing: ${CLIENTS} × ${OPERATIONS} operations (seed ${SEED})`,
  async () => {
    const { replicas, proxy } = await startFleet({
      STATEHOUSE_LEASE_GRACE_SECONDS: "0",
      STATEHOUSE_AUTH_FAILURES_PER_MINUTE: "100000", // tokens of starts that were sent again
    });
    for (const name of STACKS) await new StackClient(proxy, PROJECT, name).init();
    const arena: Arena = {
      url: proxy.url,
      stacks: STACKS,
      history: [],
      open: new Map(STACKS.map((name) => [name, new Set<string>()])),
    };
    const random = new Random(SEED);
    const clients = Array.from({ length: CLIENTS }, (_, id) => new LockClient(arena, random.fork(), id));
    const startedMs = performance.now();
    let isOver = false;
    const disturbing = disturb(replicas, random.fork(), () => isOver);
    const working = Promise.all(clients.map((client) => client.run(OPERATIONS))).finally(() => {
      isOver = true;
    });
    const [deeds] = await Promise.all([disturbing, working]);
    const seconds = Math.round((performance.now() - startedMs) / 1000);
    await endAll(arena, new LockClient(arena, random, CLIENTS));
    const ends = await Promise.all(STACKS.map((name) => endOf(proxy, name)));
    const versions = ends.map((end) => end.versions.length);
    console.log(
      `${arena.history.length} operations in ${seconds} s,`,
      deeds,
      `versions ${versions.join(", ")},`,
      tallyOf(arena.history),
    );
    expect(checkHistory(arena.history, ends)).toEqual([]);

    // Or it has shown nothing.
    expect(arena.history.length).toBeGreaterThanOrEqual(CLIENTS * OPERATIONS);
    expect(deeds.kills).toBeGreaterThan(0);
    expect(Math.min(...versions)).toBeGreaterThan(OPERATIONS / 25);
    const seen = new Set(arena.history.map(({ kind, outcome }) => `${kind} ${outcome}`));
    const kinds = ["start", "renew", "journal", "checkpoint", "complete", "cancel"];
    expect([...seen]).toEqual(expect.arrayContaining(kinds.map((kind) => `${kind} done`)));
    expect([...seen]).toEqual(expect.arrayContaining(["start refused", "journal refused"]));
    for (const backend of replicas.keys())
      expect(proxy.passed.filter((it) => it.backend === backend).length).toBeGreaterThan(OPERATIONS / 2);
  },
  60_000 + OPERATIONS * 200,
);
