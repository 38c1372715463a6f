/** The proof at the end, from the target alone but for the counts: what was copied is read, opened and hashed. */
import { createHash } from "node:crypto";
import type { BulkRow, BulkTable } from "../../db-adapters/contract.ts";
import { openArtifact } from "../blobs/artifacts.ts";
import type { SourceOverview } from "./source.ts";
import type { Target } from "./target.ts";

const AT_ONCE = 4;
const PAGE_ROWS = 500;
const PAGE_BYTES = 4 * 1024 * 1024;
const PROBLEMS_MAX = 100;

export interface Problem {
  readonly what: string;
  /** The blob that is not what its row says. */
  readonly blobKey: string | null;
}

export interface Verification {
  /** Rows by table, the same on both sides. */
  readonly rows: Readonly<Record<string, number>>;
  readonly versions: number;
  readonly versionBytes: number;
  /** Stacks whose key opened a document. */
  readonly stacks: number;
  readonly artifacts: number;
  readonly problems: readonly Problem[];
}

interface Named {
  readonly [column: string]: unknown;
}

export async function* rowsOf(target: Target, table: BulkTable): AsyncGenerator<Named> {
  for (let after: BulkRow | null = null; ; ) {
    const range = { table: table.name, after, through: null, limit: PAGE_ROWS, bytesMax: PAGE_BYTES };
    const rows = await target.db.readRows(range);
    for (const row of rows) yield Object.fromEntries(table.columns.map((name, index) => [name, row[index]]));
    const last = rows.at(-1);
    if (last === undefined) return;
    after = table.key.map((name) => last[table.columns.indexOf(name)] ?? null);
  }
}

async function hashOf(body: AsyncIterable<Uint8Array>): Promise<{ sha256: string; sizeBytes: number }> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  for await (const chunk of body) {
    hash.update(chunk);
    sizeBytes += chunk.length;
  }
  return { sha256: hash.digest("hex"), sizeBytes };
}

async function problemOfVersion(target: Target, row: Named): Promise<string | null> {
  try {
    const body = await target.documents.open(String(row.stack_id), {
      blobKey: String(row.blob_key),
      sealed: row.sealed instanceof Uint8Array ? row.sealed : null,
    });
    const { sha256, sizeBytes } = await hashOf(body);
    if (sha256 !== row.sha256) return "has other bytes than its row says";
    return sizeBytes === row.size_bytes ? null : "has another size than its row says";
  } catch (error) {
    return `can't be opened (${error instanceof Error ? error.message : String(error)})`;
  }
}

/** Of an artifact that is there for good. */
async function problemOfArtifact(target: Target, row: Named): Promise<string | null> {
  const stored = {
    blobKey: String(row.blob_key),
    sizeBytes: Number(row.size_bytes),
    isSealed: row.sealed === 1,
  };
  try {
    const range = { startByte: 0, endByte: stored.sizeBytes };
    const { sha256, sizeBytes } = await hashOf(await openArtifact(target, stored, range));
    return sha256 === row.sha256 && sizeBytes === stored.sizeBytes
      ? null
      : "has other bytes than its row says";
  } catch (error) {
    return `can't be opened (${error instanceof Error ? error.message : String(error)})`;
  }
}

/** Each item once, a few at a time. */
async function each<T>(items: AsyncGenerator<T>, work: (item: T) => Promise<void>): Promise<void> {
  const worker = async () => {
    for (let next = await items.next(); next.done !== true; next = await items.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function compareCounts(target: Target, overview: SourceOverview, problems: Problem[]) {
  const rows: Record<string, number> = {};
  for (const { name } of overview.tables) {
    const count = await target.db.countRows(name);
    const wanted = overview.rows[name] ?? 0;
    rows[name] = count;
    if (count !== wanted)
      problems.push({ what: `${name}: ${count} rows, the source has ${wanted}`, blobKey: null });
  }
  const { counters } = await target.db.describeBulk();
  for (const [name, value] of Object.entries(overview.counters))
    if (counters[name] !== value)
      problems.push({
        what: `total ${name}: ${counters[name] ?? 0}, the source has ${value}`,
        blobKey: null,
      });
  return rows;
}

export async function verify(
  target: Target,
  overview: SourceOverview,
  onItem: (sizeBytes: number) => void,
): Promise<Verification> {
  const problems: Problem[] = [];
  const add = (what: string, blobKey: string) => {
    if (problems.length < PROBLEMS_MAX) problems.push({ what, blobKey });
  };
  const rows = await compareCounts(target, overview, problems);
  const stacks = new Set<string>();
  let [versions, versionBytes, artifacts] = [0, 0, 0];
  const tableOf = (name: string) => overview.tables.find((table) => table.name === name);
  const versionTable = tableOf("state_version");
  if (versionTable !== undefined)
    await each(rowsOf(target, versionTable), async (row) => {
      const problem = await problemOfVersion(target, row);
      if (problem === null) stacks.add(String(row.stack_id));
      else add(`version ${row.version} of stack ${row.stack_id} ${problem}`, String(row.blob_key));
      versions += 1;
      versionBytes += Number(row.size_bytes);
      onItem(Number(row.size_bytes));
    });
  const artifactTable = tableOf("artifact");
  if (artifactTable !== undefined)
    await each(rowsOf(target, artifactTable), async (row) => {
      if (row.pending_until_ms !== null) return;
      artifacts += 1;
      const problem = await problemOfArtifact(target, row);
      if (problem !== null) add(`artifact ${row.id} ${problem}`, String(row.blob_key));
      onItem(Number(row.size_bytes));
    });
  return { rows, versions, versionBytes, stacks: stacks.size, artifacts, problems };
}
