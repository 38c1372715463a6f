/** Looking into, and rewriting members of, raw JSON that is in memory. */

import type { ScanAction, ScanHandler } from "./json-scanner.ts";
import { ENTER, JsonScanError, JsonScanner, OPEN_BRACE, OPEN_BRACKET, SKIP } from "./json-scanner.ts";

/** Byte offsets of a value, end exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Values in memory were checked against the caller's own limit when they came in. */
const DEPTH_MAX = 1_000_000;

class MemberFinder implements ScanHandler {
  readonly members = new Map<string, Span>();
  readonly elements: Span[] = [];
  private readonly opener: number;
  private name = "";
  private start = 0;

  constructor(opener: number) {
    this.opener = opener;
  }

  begin(depth: number, offset: number, firstByte: number): ScanAction {
    this.start = offset;
    if (depth > 0) return SKIP;
    if (firstByte !== this.opener) {
      throw new JsonScanError("malformed_json", `Expected ${String.fromCharCode(this.opener)}`, offset);
    }
    return ENTER;
  }

  key(_depth: number, name: string): void {
    this.name = name;
  }

  end(depth: number, offset: number): void {
    if (depth === 0) return;
    const span = { start: this.start, end: offset };
    if (this.opener === OPEN_BRACE) this.members.set(this.name, span);
    else this.elements.push(span);
  }
}

function find(bytes: Uint8Array, opener: number, depthMax: number): MemberFinder {
  const finder = new MemberFinder(opener);
  const scanner = new JsonScanner(finder, depthMax);
  scanner.write(bytes);
  scanner.end();
  return finder;
}

/**
 * Where the values of an object's own members are. Names are unescaped; of a name given twice the last one counts.
 * @throws JsonScanError when the bytes are not one JSON object
 */
export function membersOf(bytes: Uint8Array, depthMax = DEPTH_MAX): Map<string, Span> {
  return find(bytes, OPEN_BRACE, depthMax).members;
}

/** Where the elements of an array are. @throws JsonScanError when the bytes are not one JSON array */
export function elementsOf(bytes: Uint8Array, depthMax = DEPTH_MAX): readonly Span[] {
  return find(bytes, OPEN_BRACKET, depthMax).elements;
}

/** The raw value of one member, or null. The bytes must be an object. */
export function memberOf(bytes: Uint8Array, name: string): Uint8Array | null {
  const span = membersOf(bytes).get(name);
  return span === undefined ? null : bytes.subarray(span.start, span.end);
}

const COMMA = Buffer.from(",");

/**
 * An object with some members given new raw values, or dropped (null). Members that are not named keep their bytes
 * and their order; new ones come last.
 */
export function withMembers(object: Uint8Array, changes: ReadonlyMap<string, Uint8Array | null>): Uint8Array {
  const parts: Uint8Array[] = [];
  const add = (name: string, raw: Uint8Array): void => {
    parts.push(parts.length === 0 ? Buffer.from("{") : COMMA, Buffer.from(`${JSON.stringify(name)}:`), raw);
  };
  const members = membersOf(object);
  for (const [name, span] of members) {
    const change = changes.get(name);
    if (change !== null) add(name, change ?? object.subarray(span.start, span.end));
  }
  for (const [name, raw] of changes) if (raw !== null && !members.has(name)) add(name, raw);
  parts.push(Buffer.from(parts.length === 0 ? "{}" : "}"));
  return Buffer.concat(parts);
}

/** Bytes to put in place of a span. */
export interface Replacement extends Span {
  readonly bytes: Uint8Array;
}

/** `bytes` with each span replaced; spans must not overlap, in any order. */
export function withSpans(bytes: Uint8Array, replacements: readonly Replacement[]): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const replacement of [...replacements].sort((a, b) => a.start - b.start)) {
    parts.push(bytes.subarray(at, replacement.start), replacement.bytes);
    at = replacement.end;
  }
  parts.push(bytes.subarray(at));
  return Buffer.concat(parts);
}

/** Checks the syntax of a whole JSON text in memory. @throws JsonScanError */
export function checkJson(bytes: Uint8Array, depthMax?: number): void {
  const scanner = new JsonScanner(
    { begin: () => SKIP, key: () => undefined, end: () => undefined },
    depthMax,
  );
  scanner.write(bytes);
  scanner.end();
}
