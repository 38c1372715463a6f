/** Rules of artifacts that both engines follow inside their steps. */
import { type ArtifactKeep, type ArtifactLimits, type ArtifactPlace, UNLIMITED } from "./contract.ts";

/** The place in one text: names are numbered within it. */
export function placeOf({ stackId, updateId, commit }: ArtifactPlace): string {
  return [stackId, updateId, commit].map((part) => part ?? "").join("/");
}

export const NO_LIMITS: ArtifactLimits = { ageDays: null, filesMax: null, bytesMax: null, quotaBytes: null };

interface LimitColumns {
  readonly age_days: number | null;
  readonly files_max: number | null;
  readonly bytes_max: number | null;
  readonly quota_bytes: number | null;
}

export function limitsOf(row: LimitColumns | null): ArtifactLimits {
  if (row === null) return NO_LIMITS;
  return {
    ageDays: row.age_days,
    filesMax: row.files_max,
    bytesMax: row.bytes_max,
    quotaBytes: row.quota_bytes,
  };
}

/** What holds: the first that is set, the closest place's first; null for no limit. */
export function limitOf(...closestFirst: readonly (number | null)[]): number | null {
  const set = closestFirst.find((limit) => limit !== null) ?? null;
  return set === UNLIMITED ? null : set;
}

/** Of one place with its own limits; `keep` is what holds otherwise. */
export function keepOf(own: Pick<LimitColumns, "files_max" | "bytes_max">, keep: ArtifactKeep): ArtifactKeep {
  return {
    filesMax: limitOf(own.files_max, keep.filesMax),
    bytesMax: limitOf(own.bytes_max, keep.bytesMax),
  };
}

/** Of `rows`, oldest first, those that have to go until no more than `keep` is left of the totals. */
export function excessOf<Row extends { readonly size_bytes: number }>(
  rows: readonly Row[],
  totals: { readonly files: number; readonly bytes: number },
  keep: ArtifactKeep,
): Row[] {
  let files = totals.files - (keep.filesMax ?? totals.files);
  let bytes = totals.bytes - (keep.bytesMax ?? totals.bytes);
  const excess: Row[] = [];
  for (const row of rows) {
    if (files <= 0 && bytes <= 0) break;
    excess.push(row);
    files -= 1;
    bytes -= row.size_bytes;
  }
  return excess;
}
