/** The one place that says what a blob key is; every store checks with it before it does anything. */
import { type BlobKey, InvalidBlobKeyError } from "./contract.ts";

export const BLOB_KEY_CHARS_MAX = 512;
/** File systems stop at 255 bytes for a name. */
export const BLOB_KEY_SEGMENT_CHARS_MAX = 200;

const ALPHABET = /^[A-Za-z0-9._/-]+$/;

/** @throws InvalidBlobKeyError for what the contract does not call a key */
export function checkBlobKey(key: BlobKey): void {
  const problem = problemOf(key) ?? segmentsProblemOf(key.split("/"));
  if (problem !== null) throw new InvalidBlobKeyError(`Not a blob key: ${problem}`);
}

export function isBlobKey(key: string): boolean {
  return (problemOf(key) ?? segmentsProblemOf(key.split("/"))) === null;
}

/** What `list` takes: the empty string, or the beginning of some key. @throws InvalidBlobKeyError otherwise */
export function checkBlobPrefix(prefix: string): void {
  if (prefix === "") return;
  // The last segment may be unfinished: empty, or one that only starts with a dot.
  const segments = prefix.split("/").slice(0, -1);
  const problem = problemOf(prefix) ?? segmentsProblemOf(segments);
  if (problem !== null) throw new InvalidBlobKeyError(`Not the prefix of a blob key: ${problem}`);
}

function problemOf(key: string): string | null {
  if (key.length === 0) return "it is empty";
  if (key.length > BLOB_KEY_CHARS_MAX) return `it is longer than ${BLOB_KEY_CHARS_MAX} characters`;
  if (!ALPHABET.test(key)) return "it has characters other than A-Z a-z 0-9 . _ / -";
  return null;
}

function segmentsProblemOf(segments: readonly string[]): string | null {
  for (const segment of segments) {
    if (segment === "") return "it has an empty segment";
    if (segment === "." || segment === "..") return "it has a segment of dots";
    if (segment.length > BLOB_KEY_SEGMENT_CHARS_MAX) {
      return `it has a segment longer than ${BLOB_KEY_SEGMENT_CHARS_MAX} characters`;
    }
  }
  return null;
}
