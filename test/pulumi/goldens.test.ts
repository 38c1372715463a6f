/** Every journal of the real engine, over HTTP: in small batches that repeat, overlap and overtake each other. */
import { expect, it } from "vitest";
import { type Golden, type GoldenDeployment, readGoldens } from "../deployment/goldens.ts";
import { StackClient, send, type UpdateClient } from "../support/client.ts";
import { ORG, shareTestServer, type TestServer } from "../support/server.ts";

const SEED = 20260102;
/** As many as keep the server busy: their commits share fsyncs. */
const STACKS_AT_ONCE = 12;
const BATCH_ENTRIES_MAX = 16;

/** What a stack without state exports (section 6.1). */
const EMPTY_DOCUMENT =
  '{"version":3,"deployment":{"manifest":{"time":"0001-01-01T00:00:00Z","magic":"","version":""}}}';

const goldens = readGoldens();
const server = shareTestServer({ logLevel: "warn" });

interface Document {
  readonly version: number;
  readonly features?: string[];
  readonly deployment: GoldenDeployment;
}

/** What a golden promises: no manifest, pending operations in any order. */
function comparable({ version, features, deployment }: Document): unknown {
  const { manifest: _, ...rest } = deployment;
  const pending = (rest.pending_operations ?? []).map((operation) => JSON.stringify(operation)).sort();
  return { version, features: features ?? [], deployment: { ...rest, pending_operations: pending } };
}

/** Mulberry32: the same numbers in every run, so that a failure can be run again. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

type Entries = Golden["entries"];

/** Batches of 1 to 16; some come again later, some reach back into the one before, neighbours swap places. */
function deliver(entries: Entries, random: (below: number) => number): Entries[] {
  const batches: Entries[] = [];
  for (let at = 0; at < entries.length; ) {
    const size = 1 + random(BATCH_ENTRIES_MAX);
    const from = random(4) === 0 ? Math.max(0, at - 1 - random(3)) : at;
    batches.push(entries.slice(from, at + size));
    at += size;
  }
  for (let i = batches.length - 1; i > 0; i--) {
    const [a, b] = [batches[i], batches[i - 1]];
    if (random(3) === 0 && a !== undefined && b !== undefined) [batches[i], batches[i - 1]] = [b, a];
  }
  return batches.flatMap((batch) => (random(4) === 0 ? [batch, batch] : [batch]));
}

function isEmpty({ manifest: _, ...rest }: GoldenDeployment): boolean {
  return Object.keys(rest).length === 0;
}

/** Whoever cancels is somebody else than who runs the update. */
async function colleague(app: TestServer): Promise<string> {
  const path = "/api/admin/v1";
  await send(app, "POST", `${path}/users`, { login: "colleague" });
  await send(app, "PUT", `${path}/organizations/${ORG}/members/colleague`, { role: "member" });
  const { body } = await send(app, "POST", `${path}/tokens`, { name: "laptop", user: "colleague" });
  return body.token as string;
}

async function finish(update: UpdateClient, isLast: boolean, colleagueToken: string): Promise<void> {
  const answer = isLast
    ? await update.complete()
    : await update.stack.send("POST", `/update/${update.id}/cancel`, undefined, { token: colleagueToken });
  expect(answer, answer.text).toMatchObject({ status: 204 });
}

async function runGolden(golden: Golden, index: number, colleagueToken: string): Promise<void> {
  const random = randomOf(SEED + index);
  const base = { version: 3, deployment: golden.base };
  const last = Math.max(...golden.expected.map(({ at }) => at));
  for (const expected of golden.expected) {
    const label = `golden ${index} (${golden.name}) at ${expected.at}`;
    const stack = await new StackClient(server(), "golden", `g${index}-${expected.at}`).init();
    const before = isEmpty(golden.base) ? EMPTY_DOCUMENT : JSON.stringify(base);
    if (before !== EMPTY_DOCUMENT) await stack.import(before);
    const update = await stack.begin();
    for (const entries of deliver(golden.entries.slice(0, expected.at), random)) {
      expect(await update.journal(entries), label).toMatchObject({ status: 204 });
    }
    await finish(update, expected.at === last, colleagueToken);
    const after = await stack.send("GET", "/export");
    // Nothing but an unchanged provider: the base stays as it was, and it came without version and features.
    const actual =
      after.text === before ? { ...(after.body as Document), version: expected.version } : after.body;
    const wanted = after.text === before ? { ...expected, features: [] } : expected;
    expect(comparable(actual as Document), label).toEqual(comparable(wanted));
  }
}

it("leaves the engine's own state after each of its journals, whole or cancelled", {
  timeout: 240_000,
}, async () => {
  expect(goldens.length).toBe(614);
  const colleagueToken = await colleague(server());
  const queue = goldens.entries();
  const work = async () => {
    for (const [index, golden] of queue) await runGolden(golden, index, colleagueToken);
  };
  await Promise.all(Array.from({ length: STACKS_AT_ONCE }, work));
});
