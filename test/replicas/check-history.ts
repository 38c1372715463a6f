/**
 * Judges what clients of several replicas saw. Pure. A stack is a lock: an update takes it with its start and
 * frees it with its end (complete, cancel, or another's start once its lease is over). Versions are the witness
 * of the order in which updates held it, so no search for an order is needed: it is enough that this one fits
 * all the times, and that the states are what was acknowledged in it.
 */
import type { Operation, StackEnd, Version } from "./history.ts";

/** Everything about one update that a rule needs. */
interface Life {
  readonly updateId: string;
  readonly operations: readonly Operation[];
  readonly version: Version | null;
  readonly hold: Hold | null;
}

/** A time during which an update held its stack for sure. Empty when `untilMs` comes first. */
interface Hold {
  readonly fromMs: number;
  readonly untilMs: number;
}

const LEASED: ReadonlySet<string> = new Set(["renew", "journal", "checkpoint"]);
const ENDS: ReadonlySet<string> = new Set(["complete", "cancel"]);
/** Leases that are asked for shorter than this may run out while the clients are at work. */
const LONG_LEASE_MS = 60_000;

/** All that is wrong, in words; empty for a history that could have been one server's. */
export function checkHistory(operations: readonly Operation[], ends: readonly StackEnd[]): string[] {
  const known = new Set(ends.map(({ stack }) => stack));
  const strays = operations.filter(({ stack }) => !known.has(stack));
  return [
    ...strays.map(({ stack }) => `${stack}: not looked at in the end`),
    ...ends.flatMap((end) =>
      checkStack(
        end,
        operations.filter(({ stack }) => stack === end.stack),
      ).map((problem) => `${end.stack}: ${problem}`),
    ),
  ];
}

function checkStack(end: StackEnd, operations: readonly Operation[]): string[] {
  const byUpdate = Map.groupBy(operations, ({ updateId }) => updateId);
  const lives = [...byUpdate].map(([updateId, own]) => {
    const version = end.versions.find((it) => it.updateId === updateId) ?? null;
    return { updateId, operations: own, version, hold: holdOf(own) };
  });
  return [
    ...(end.isHeld ? ["still held when everything had ended"] : []),
    ...checkVersions(end.versions, lives),
    ...checkGrants(lives),
    ...checkOrder(lives),
    ...lives.flatMap(checkEnds),
    ...lives.flatMap(checkLeaseRefusals),
    ...checkStartRefusals(lives),
    ...checkStates(end.versions, byUpdate),
  ];
}

// ---------------------------------------------------------------- who held it when

const isDone = ({ outcome }: Operation) => outcome === "done";
const mayHaveHappened = ({ outcome }: Operation) => outcome !== "refused";
const isEnd = ({ kind }: Operation) => ENDS.has(kind);
const isShortRenewal = ({ kind, leaseMs }: Operation) =>
  kind === "renew" && (leaseMs ?? Number.POSITIVE_INFINITY) < LONG_LEASE_MS;

function earliest(times: readonly number[]): number {
  return Math.min(Number.POSITIVE_INFINITY, ...times);
}

function latest(times: readonly number[]): number {
  return Math.max(Number.NEGATIVE_INFINITY, ...times);
}

/** Null for an update whose start nobody saw acknowledged. */
function holdOf(operations: readonly Operation[]): Hold | null {
  const starts = operations.filter((it) => it.kind === "start" && isDone(it));
  if (starts.length === 0) return null;
  const mayEnd = operations.filter((it) => mayHaveHappened(it) && (isEnd(it) || isShortRenewal(it)));
  const leases = operations.filter((it) => isDone(it) && it.leaseMs !== undefined && !isShortRenewal(it));
  const untouchedMs = Math.min(
    earliest(mayEnd.map((it) => it.invokedMs)),
    latest(leases.map((it) => it.invokedMs + (it.leaseMs ?? 0))),
  );
  // Whatever was accepted was accepted by its holder, after the call had begun.
  const accepted = operations.filter((it) => isDone(it) && LEASED.has(it.kind));
  const completes = operations.filter((it) => it.kind === "complete" && mayHaveHappened(it));
  const completedMs = completes.some(isDone)
    ? earliest(completes.map((it) => it.invokedMs))
    : Number.NEGATIVE_INFINITY;
  return {
    fromMs: earliest(starts.map((it) => it.endedMs)),
    untilMs: Math.max(untouchedMs, completedMs, latest(accepted.map((it) => it.invokedMs))),
  };
}

/** Without a look at the versions: two updates never hold a stack at the same time. */
function checkGrants(lives: readonly Life[]): string[] {
  const held = lives.flatMap(({ updateId, hold }) => (hold === null ? [] : [{ updateId, ...hold }]));
  held.sort((a, b) => a.fromMs - b.fromMs);
  const problems: string[] = [];
  let last: (typeof held)[number] | null = null;
  for (const next of held) {
    if (next.untilMs <= next.fromMs) continue;
    if (last !== null && next.fromMs < last.untilMs) {
      problems.push(
        `double grant: ${next.updateId} from ${next.fromMs}, ${last.updateId} until ${last.untilMs}`,
      );
    }
    if (last === null || next.untilMs > last.untilMs) last = next;
  }
  return problems;
}

/** The versions' order fits the times: what a version's holder did was done before a later one's start. */
function checkOrder(lives: readonly Life[]): string[] {
  const ordered = lives
    .filter((it) => it.version !== null)
    .sort((a, b) => (a.version?.version ?? 0) - (b.version?.version ?? 0));
  const problems: string[] = [];
  let before: { readonly updateId: string; readonly atMs: number } | null = null;
  for (const { updateId, operations, hold } of ordered) {
    if (before !== null && hold !== null && hold.fromMs < before.atMs)
      problems.push(`order: ${updateId} was started before ${before.updateId} of a lower version could be`);
    const asked = operations.filter((it) => it.kind === "start" && mayHaveHappened(it));
    const held = operations.filter((it) => isDone(it) && LEASED.has(it.kind));
    const atMs = Math.max(earliest(asked.map((it) => it.invokedMs)), latest(held.map((it) => it.invokedMs)));
    if (before === null || atMs > before.atMs) before = { updateId, atMs };
  }
  return problems;
}

function checkVersions(versions: readonly Version[], lives: readonly Life[]): string[] {
  const problems: string[] = [];
  for (const [index, { version, updateId }] of versions.entries()) {
    if (version !== index + 1) problems.push(`versions: ${version} where ${index + 1} belongs`);
    const starts = lives.find((it) => it.updateId === updateId)?.operations ?? [];
    if (!starts.some((it) => it.kind === "start" && mayHaveHappened(it)))
      problems.push(`versions: ${version} is ${updateId}, which nobody started`);
  }
  for (const { updateId, operations, version } of lives)
    for (const start of operations.filter((it) => it.kind === "start" && isDone(it)))
      if (start.version !== version?.version)
        problems.push(
          `versions: ${updateId} was started as ${start.version} and is ${version?.version ?? "none"}`,
        );
  return problems;
}

// ---------------------------------------------------------------- ends and refusals

function checkEnds({ updateId, operations, version }: Life): string[] {
  const problems: string[] = [];
  const ends = operations.filter((it) => isEnd(it) && isDone(it));
  const endedMs = earliest(ends.map((it) => it.endedMs));
  for (const { kind, outcome, invokedMs } of operations)
    if (outcome === "done" && !ENDS.has(kind) && invokedMs > endedMs)
      problems.push(`${kind} of ${updateId} was accepted after its end`);
  if (version === null) return problems;
  const said = new Set(ends.map(({ status }) => status ?? "cancelled"));
  if (said.size > 1) problems.push(`${updateId} ended twice: ${[...said].join(" and ")}`);
  for (const status of said) {
    const result = status === "cancelled" ? "failed" : status;
    if (version.result !== result)
      problems.push(`${updateId} was acknowledged as ${status} and is ${version.result}`);
  }
  return problems;
}

/** A holder is only turned away when something may have ended its update, or given its lease to a retry. */
function checkLeaseRefusals({ updateId, operations, hold }: Life): string[] {
  const refused = operations.filter(
    (it) => it.outcome === "refused" && (LEASED.has(it.kind) || it.kind === "complete"),
  );
  const starts = operations.filter((it) => it.kind === "start" && mayHaveHappened(it));
  return refused.flatMap(({ kind, invokedMs, endedMs }) => {
    const reasons = operations.filter((it) => mayHaveHappened(it) && (isEnd(it) || isShortRenewal(it)));
    const isExplained = reasons.some((it) => it.invokedMs < endedMs) || starts.length > 1;
    const isLeaseOver = hold === null || hold.untilMs < endedMs;
    return isExplained || isLeaseOver
      ? []
      : [`${kind} of ${updateId} was refused at ${invokedMs} while held`];
  });
}

/** A start is only refused while another update may hold the stack, or when its own has ended. */
function checkStartRefusals(lives: readonly Life[]): string[] {
  const holders = lives.flatMap((life) => {
    if (life.version === null) return [];
    const starts = life.operations.filter((it) => it.kind === "start" && mayHaveHappened(it));
    const { version } = life.version;
    const ends = life.operations.filter((it) => isEnd(it) && isDone(it));
    return [
      {
        updateId: life.updateId,
        version,
        fromMs: earliest(starts.map((it) => it.invokedMs)),
        startedMs: life.hold?.fromMs ?? Number.POSITIVE_INFINITY,
        endedMs: earliest(ends.map((it) => it.endedMs)),
      },
    ];
  });
  holders.sort((a, b) => b.version - a.version);
  // Once a later version is known to have started, this one is over whatever else is known.
  let laterMs = Number.POSITIVE_INFINITY;
  const spans = holders.map(({ startedMs, ...holder }) => {
    const span = { ...holder, untilMs: Math.min(holder.endedMs, laterMs) };
    laterMs = Math.min(laterMs, startedMs);
    return span;
  });
  return lives.flatMap(({ updateId, operations }) => {
    const refused = operations.filter((it) => it.kind === "start" && it.outcome === "refused");
    const ends = operations.filter((it) => isEnd(it) && mayHaveHappened(it));
    return refused.flatMap(({ invokedMs, endedMs }) => {
      const isOver = ends.some((it) => it.invokedMs < endedMs);
      const isHeld = spans.some(
        (it) => it.updateId !== updateId && it.fromMs < endedMs && it.untilMs > invokedMs,
      );
      return isOver || isHeld ? [] : [`start of ${updateId} was refused at ${invokedMs} while free`];
    });
  });
}

// ---------------------------------------------------------------- what was saved

function checkStates(
  versions: readonly Version[],
  byUpdate: ReadonlyMap<string, readonly Operation[]>,
): string[] {
  const problems: string[] = [];
  let base: readonly string[] = [];
  for (const { version, updateId, names } of versions) {
    const writes = (byUpdate.get(updateId) ?? []).filter(
      (it) => it.names !== undefined && mayHaveHappened(it),
    );
    const found = names ?? [];
    const problem = stateProblem(base, writes, found);
    if (problem !== null) problems.push(`version ${version} (${updateId}): ${problem}`);
    if (names === null && base.length > 0) problems.push(`version ${version} (${updateId}) has no state`);
    base = found;
  }
  return problems;
}

function stateProblem(
  base: readonly string[],
  writes: readonly Operation[],
  found: readonly string[],
): string | null {
  const has = new Set(found);
  if (has.size < found.length) return "a write was applied twice";
  // A checkpoint replaces what was there: the last acknowledged one, or any whose answer was lost.
  const checkpoints = writes.filter(({ kind }) => kind === "checkpoint");
  const lastDone = checkpoints.findLast(isDone);
  const unknown = checkpoints.filter((it) => !isDone(it));
  const bases = [
    ...(lastDone === undefined ? [base] : [lastDone.names ?? []]),
    ...unknown.map((it) => it.names ?? []),
  ];
  const batches = writes.filter(({ kind }) => kind === "journal");
  const must = batches.filter(isDone).flatMap((it) => it.names ?? []);
  const may = new Set(batches.flatMap((it) => it.names ?? []));
  const problems = bases.map((start) => {
    const lost = [...start, ...must].find((name) => !has.has(name));
    if (lost !== undefined) return `an acknowledged write was lost: ${lost}`;
    const own = new Set(start);
    const stray = found.find((name) => !own.has(name) && !may.has(name));
    return stray === undefined ? null : `it has what nobody wrote: ${stray}`;
  });
  return problems.includes(null) ? null : (problems[0] ?? null);
}
