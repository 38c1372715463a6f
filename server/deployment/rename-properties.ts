/** URNs inside property values: resource references, output values' dependencies, and both within secrets (11.3). */

import type { Replacement, Span } from "./json-members.ts";
import { withSpans } from "./json-members.ts";
import type { ScanAction, ScanHandler } from "./json-scanner.ts";
import { ENTER, JsonScanError, JsonScanner, OPEN_BRACE, OPEN_BRACKET, QUOTE, SKIP } from "./json-scanner.ts";
import { asBuffer, jsonBytes, stringOf } from "./json-text.ts";

const MARKER = "4dabf18193072939515e22adb298388d";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";
const RESOURCE_REFERENCE = "5cf8f73096256a8f31e491e813e4eb8e";
const OUTPUT_VALUE = "d0e6a833031e9bbcd3f4e8bde6ca49a4";

/** A secret's plaintext is JSON in a string, and may hold secrets in turn. */
const SECRET_NESTING_MAX = 8;
const DEPTH_MAX = 1_000_000;

/** What to replace in a raw property value so that every URN that `rename` changes is changed. */
export function propertyReplacements(
  value: Uint8Array,
  rename: (urn: string) => string,
  nesting = 0,
): readonly Replacement[] {
  const buffer = asBuffer(value);
  if (!buffer.includes(RESOURCE_REFERENCE) && !buffer.includes(OUTPUT_VALUE)) return [];
  const finder = new ReferenceFinder(value, rename, nesting);
  const scanner = new JsonScanner(finder, DEPTH_MAX);
  scanner.write(value);
  scanner.end();
  return finder.replacements;
}

/** An open container and the strings in it that may turn out to matter. */
interface Frame {
  readonly isObject: boolean;
  /** Name of the member being read. */
  name: string;
  readonly strings: Map<string, Span>;
  /** Strings of an array that is a member called `dependencies`. */
  readonly elements: Span[] | null;
  dependencies: readonly Span[];
}

const NAMES_READ: ReadonlySet<string> = new Set([MARKER, "urn", "plaintext", "ciphertext"]);

class ReferenceFinder implements ScanHandler {
  readonly replacements: Replacement[] = [];
  private readonly value: Uint8Array;
  private readonly rename: (urn: string) => string;
  private readonly nesting: number;
  private readonly frames: Frame[] = [];
  private scalarStart = 0;

  constructor(value: Uint8Array, rename: (urn: string) => string, nesting: number) {
    this.value = value;
    this.rename = rename;
    this.nesting = nesting;
  }

  begin(_depth: number, offset: number, firstByte: number): ScanAction {
    if (firstByte !== OPEN_BRACE && firstByte !== OPEN_BRACKET) {
      this.scalarStart = offset;
      return SKIP;
    }
    const isObject = firstByte === OPEN_BRACE;
    const elements = !isObject && this.frames.at(-1)?.name === "dependencies" ? [] : null;
    this.frames.push({ isObject, name: "", strings: new Map(), elements, dependencies: [] });
    return ENTER;
  }

  key(_depth: number, name: string): void {
    const frame = this.frames.at(-1);
    if (frame !== undefined) frame.name = name;
  }

  end(depth: number, offset: number): void {
    if (this.frames.length > depth) {
      const closed = this.frames.pop();
      const parent = this.frames.at(-1);
      if (closed?.isObject === true) this.endObject(closed);
      else if (parent !== undefined && closed?.elements) parent.dependencies = closed.elements;
      return;
    }
    const frame = this.frames.at(-1);
    if (frame === undefined || this.value[this.scalarStart] !== QUOTE) return;
    const span = { start: this.scalarStart, end: offset };
    if (!frame.isObject) frame.elements?.push(span);
    else if (NAMES_READ.has(frame.name)) frame.strings.set(frame.name, span);
  }

  private endObject(frame: Frame): void {
    switch (this.text(frame.strings.get(MARKER))) {
      case RESOURCE_REFERENCE:
        this.replaceUrn(frame.strings.get("urn"));
        return;
      case OUTPUT_VALUE:
        for (const span of frame.dependencies) this.replaceUrn(span);
        return;
      case SECRET:
        this.replaceInside(frame.strings.get("plaintext"));
        this.replaceInside(frame.strings.get("ciphertext"));
    }
  }

  private text(span: Span | undefined): string | null {
    return span === undefined ? null : stringOf(this.value.subarray(span.start, span.end));
  }

  private replaceUrn(span: Span | undefined): void {
    const urn = this.text(span);
    if (span === undefined || urn === null) return;
    const renamed = this.rename(urn);
    if (renamed !== urn) this.replacements.push({ ...span, bytes: jsonBytes(renamed) });
  }

  /** A secret that is kept in the clear: JSON within the string. Text that is not JSON stays. */
  private replaceInside(span: Span | undefined): void {
    const text = this.text(span);
    if (span === undefined || text === null || this.nesting >= SECRET_NESTING_MAX) return;
    const inner = Buffer.from(text, "utf8");
    try {
      const found = propertyReplacements(inner, this.rename, this.nesting + 1);
      if (found.length === 0) return;
      const renamed = Buffer.from(withSpans(inner, found)).toString("utf8");
      this.replacements.push({ ...span, bytes: jsonBytes(renamed) });
    } catch (error) {
      if (!(error instanceof JsonScanError)) throw error;
    }
  }
}
