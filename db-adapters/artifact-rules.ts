/** Rules of artifacts that both engines follow inside their steps. */
import type { ArtifactKeep, ArtifactPlace } from "./contract.ts";

/** The place in one text: names are numbered within it. */
export function placeOf({ stackId, updateId, commit }: ArtifactPlace): string {
  return [stackId, updateId, commit].map((part) => part ?? "").join("/");
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
