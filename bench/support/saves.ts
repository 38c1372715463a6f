/** What the CLI saves during an `up`: journal entries, or whole checkpoints where journaling is off. */
import { createHash } from "node:crypto";
import {
  objectOf,
  PROJECT,
  providerOf,
  type Resource,
  type ResourceState,
  rootOf,
  rootWithOutputs,
} from "./resources.ts";

export const CLI_VERSION = "v3.260.0";
/** The CLI's default on 8 cores and fewer: that many steps run at the same time. */
const PARALLEL = 8;

/** Kinds of journal entries (protocol reference 4.8.3). */
const BEGIN = 0;
const SUCCESS = 1;
const OUTPUTS = 4;
const SECRETS_MANAGER = 6;

export type JournalEntry = Readonly<Record<string, unknown>>;

/** A first `up` creates; a later one updates each of the resources that the first has left. */
export type UpKind = "creates" | "updates";

function secretsProviderOf(stack: string): Record<string, unknown> {
  const state = { url: "http://127.0.0.1:4000", owner: "main", project: PROJECT, stack };
  return { type: "service", state };
}

/** Steps in the order in which the engine takes them up, in waves of what runs in parallel. */
function wavesOf(stack: string, count: number): Resource[][] {
  const waves = [[rootOf(stack)], [providerOf(stack)]];
  for (let first = 0; first < count; first += PARALLEL) {
    const wave: Resource[] = [];
    for (let index = first; index < Math.min(first + PARALLEL, count); index++)
      wave.push(objectOf(stack, index));
    waves.push(wave);
  }
  return waves;
}

/** All entries of one `up`; the first one, of the secrets manager, is sent by itself. */
export function journalOf(stack: string, count: number, kind: UpKind): JournalEntry[] {
  const entries: JournalEntry[] = [];
  const add = (entryKind: number, operationID: number, more: JournalEntry) => {
    const fixed = { version: 1, kind: entryKind, sequenceID: entries.length + 1, operationID };
    entries.push({ ...fixed, removeOld: null, removeNew: null, ...more });
  };
  add(SECRETS_MANAGER, 0, { secretsProvider: secretsProviderOf(stack) });
  const type = kind === "creates" ? "creating" : "updating";
  let begun = 0;
  let ended = 0;
  for (const wave of wavesOf(stack, count)) {
    for (const { planned } of wave) add(BEGIN, ++begun, { operation: { resource: planned, type } });
    for (const { made } of wave) {
      // Resources lie in the base in the order of their steps.
      add(SUCCESS, ++ended, { removeOld: kind === "creates" ? null : ended - 1, state: made });
    }
  }
  const rootOperation = 1;
  add(OUTPUTS, begun + 1, { removeNew: rootOperation, state: rootWithOutputs(stack, count) });
  return entries;
}

/** The bodies of `PATCH journalentries`. */
export function journalBatches(entries: readonly JournalEntry[], batchSize: number): unknown[] {
  const batches: unknown[] = [{ entries: entries.slice(0, 1) }];
  for (let first = 1; first < entries.length; first += batchSize)
    batches.push({ entries: entries.slice(first, first + batchSize) });
  return batches;
}

function checkpointOf(
  stack: string,
  resources: readonly ResourceState[],
  pending: readonly ResourceState[],
): unknown {
  const manifest = {
    time: "2026-11-21T07:20:27.813585148Z",
    magic: createHash("sha256").update(CLI_VERSION).digest("hex"),
    version: CLI_VERSION,
  };
  const operations = pending.map((resource) => ({ resource, type: "creating" }));
  const deployment = {
    manifest,
    secrets_providers: secretsProviderOf(stack),
    resources,
    ...(operations.length === 0 ? {} : { pending_operations: operations }),
    metadata: {},
  };
  return { version: 3, deployment };
}

/**
 * The bodies of `PATCH checkpointverbatim`: the whole deployment after each change, so that their bytes grow
 * with the square of `count`.
 */
export function* verbatimBodies(stack: string, count: number): Generator<unknown> {
  let sequenceNumber = 0;
  const body = (resources: readonly ResourceState[], pending: readonly ResourceState[]) => {
    sequenceNumber += 1;
    return { version: 3, untypedDeployment: checkpointOf(stack, resources, pending), sequenceNumber };
  };
  const resources: ResourceState[] = [];
  for (const wave of wavesOf(stack, count)) {
    const pending: ResourceState[] = [];
    for (const { planned } of wave) {
      pending.push(planned);
      yield body(resources, pending);
    }
    for (const { made } of wave) {
      pending.shift();
      resources.push(made);
      yield body(resources, pending);
    }
  }
  resources[0] = rootWithOutputs(stack, count);
  yield body(resources, []);
}
