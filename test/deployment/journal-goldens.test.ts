import { describe, expect, it } from "vitest";
import { parseJournalBatch, replayJournal } from "../../server/deployment/journal.ts";
import type { Golden, GoldenDeployment } from "./goldens.ts";
import { readGoldens } from "./goldens.ts";
import { batch, bytes, collect, NOW, opener } from "./support.ts";

const goldens = readGoldens();

interface Document {
  version: number;
  features?: string[];
  deployment: GoldenDeployment;
}

/** What a golden promises: no manifest, pending operations in any order. */
function comparable({ version, features, deployment }: Document): unknown {
  const { manifest: _, ...rest } = deployment;
  const pending = (rest.pending_operations ?? []).map((operation) => JSON.stringify(operation)).sort();
  return { version, features: features ?? [], deployment: { ...rest, pending_operations: pending } };
}

function deploymentOf(deployment: GoldenDeployment): unknown {
  return comparable({ version: 3, deployment });
}

async function replay(
  golden: Golden,
  batches: readonly Uint8Array[],
  chunkBytes: number | null,
): Promise<unknown> {
  const base = bytes({ version: 3, deployment: golden.base });
  const openBase = opener(base, chunkBytes);
  const replayed = await replayJournal({ openBase, batches, cliVersion: "v3.260.0", now: NOW });
  if (replayed.kind === "changed")
    return comparable(JSON.parse(await collect(replayed.document())) as Document);
  return "unchanged";
}

/** Deterministic, so that a failure can be run again. */
function shuffled<T>(items: readonly T[], seed: number): T[] {
  const out = [...items];
  let state = seed + 1;
  for (let i = out.length - 1; i > 0; i -= 1) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    const j = state % (i + 1);
    const [a, b] = [out[i], out[j]];
    if (a !== undefined && b !== undefined) [out[i], out[j]] = [b, a];
  }
  return out;
}

const DELIVERIES: readonly {
  how: string;
  chunkBytes: number | null;
  split: (e: Golden["entries"]) => Uint8Array[];
}[] = [
  { how: "in one batch", chunkBytes: null, split: (entries) => [batch(entries)] },
  {
    how: "in batches of three, each sent twice and overlapping the next",
    chunkBytes: 7,
    split: (entries) =>
      entries.flatMap((_, i) =>
        i % 3 === 0 ? [batch(entries.slice(i, i + 4)), batch(entries.slice(i, i + 3))] : [],
      ),
  },
  {
    how: "one by one in a shuffled order",
    chunkBytes: 1013,
    split: (entries) => shuffled(entries, entries.length).map((one) => batch([one])),
  },
];

describe("replaying the real engine's journals", () => {
  it("has them all", () => {
    expect(goldens.length).toBe(614);
    expect(goldens.flatMap((golden) => golden.expected).length).toBe(1837);
  });

  it.each(DELIVERIES)("gives the engine's state after entries $how", async ({ chunkBytes, split }) => {
    for (const golden of goldens) {
      for (const expected of golden.expected) {
        const batches = split(golden.entries.slice(0, expected.at));
        const label = `${golden.name} at ${expected.at}`;
        const actual = await replay(golden, batches, chunkBytes);
        if (actual !== "unchanged") expect(actual, label).toEqual(comparable(expected));
        // The goldens give the base without version and features, so here only the deployment can be compared.
        else expect(deploymentOf(golden.base), label).toEqual(deploymentOf(expected.deployment));
      }
    }
  });

  it("accepts every batch they came in", () => {
    for (const golden of goldens) {
      const sequenceIds = golden.entries.map((one) => one.sequenceID);
      const read = parseJournalBatch(batch(golden.entries));
      expect(read.map((one) => one.sequenceId)).toEqual(sequenceIds);
    }
  });
});
