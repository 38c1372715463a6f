/** Conditional and partial requests (RFC 9110), as far as a file needs them. */

export type Wanted =
  | { readonly kind: "whole" }
  | { readonly kind: "part"; readonly startByte: number; readonly endByte: number }
  | { readonly kind: "unsatisfiable" };

/** One range is honoured; several, and what is no range, are answered with the whole. */
export function rangeOf(header: string | undefined, sizeBytes: number): Wanted {
  const [, from = "", to = ""] = /^bytes=\s*([0-9]{0,15})-([0-9]{0,15})\s*$/i.exec(header ?? "") ?? [];
  if (from === "" && to === "") return { kind: "whole" };
  if (from === "") {
    const lastBytes = Math.min(Number(to), sizeBytes);
    if (lastBytes === 0) return { kind: "unsatisfiable" };
    return { kind: "part", startByte: sizeBytes - lastBytes, endByte: sizeBytes };
  }
  const startByte = Number(from);
  const endByte = to === "" ? sizeBytes : Math.min(Number(to) + 1, sizeBytes);
  if (to !== "" && Number(to) < startByte) return { kind: "whole" };
  return startByte >= sizeBytes ? { kind: "unsatisfiable" } : { kind: "part", startByte, endByte };
}

/** If-None-Match, by weak comparison. */
export function isUnchanged(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === "*") return true;
  return header.split(",").some((it) => it.trim().replace(/^W\//, "") === etag);
}

/** If-Range, by strong comparison: a range of other bytes is no use. Dates never match. */
export function isRangeWanted(ifRange: string | undefined, etag: string): boolean {
  return ifRange === undefined || ifRange.trim() === etag;
}
