/** Delta checkpoints (section 4.7): text edits, by byte offset, on the document that was saved before. */
import { membersOf } from "./json-members.ts";
import { JsonScanError } from "./json-scanner.ts";
import { isNull, parsedJson, safeIntegerOf, stringOf } from "./json-text.ts";

export type DeltaFailure =
  | "malformed_json"
  | "too_deep"
  | "wrong_shape"
  | "span_out_of_order"
  | "span_out_of_bounds";

/** A delta that cannot be applied; the client falls back to a verbatim save. */
export class DeltaError extends Error {
  override readonly name = "DeltaError";
  readonly reason: DeltaFailure;
  constructor(reason: DeltaFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** Puts `newText` in place of the bytes `start` to `end` (exclusive) of the base; equal offsets insert. */
export interface TextEdit {
  readonly start: number;
  readonly end: number;
  /** UTF-8. */
  readonly newText: Uint8Array;
}

export interface Delta {
  readonly version: number;
  /** Lower-case hex SHA-256 of the whole resulting document. */
  readonly checkpointHash: string;
  readonly sequenceNumber: number;
  readonly edits: readonly TextEdit[];
}

/** Reads the decompressed body of PATCH checkpointdelta. @throws DeltaError */
export function parseDelta(body: Uint8Array, limits: { depthMax?: number } = {}): Delta {
  const members = bodyMembers(body, limits.depthMax);
  const raw = (name: string): Uint8Array => {
    const span = members.get(name);
    if (span === undefined) throw wrongShape(`it has no '${name}'`);
    return body.subarray(span.start, span.end);
  };
  const integer = (name: string): number => {
    const value = safeIntegerOf(raw(name));
    if (value === null || value < 0) throw wrongShape(`its '${name}' is not a whole number`);
    return value;
  };
  const checkpointHash = stringOf(raw("checkpointHash"));
  if (checkpointHash === null || !/^[0-9a-f]{64}$/.test(checkpointHash)) {
    throw wrongShape("its 'checkpointHash' is not a SHA-256 in hex");
  }
  const list = raw("deploymentDelta");
  const edits = isNull(list) ? [] : parsedJson(list);
  if (!Array.isArray(edits)) throw wrongShape("its 'deploymentDelta' is not a list");
  const delta = {
    version: integer("version"),
    checkpointHash,
    sequenceNumber: integer("sequenceNumber"),
    edits: edits.map(editOf),
  };
  checkOrder(delta.edits);
  return delta;
}

function bodyMembers(body: Uint8Array, depthMax?: number): ReturnType<typeof membersOf> {
  try {
    return membersOf(body, depthMax ?? DEPTH_MAX);
  } catch (error) {
    if (!(error instanceof JsonScanError)) throw error;
    throw new DeltaError(
      error.reason === "too_deep" ? "too_deep" : "malformed_json",
      `The delta cannot be read: ${error.message}.`,
      { cause: error },
    );
  }
}

/** A delta is flat: body, list, edit, span, point. */
const DEPTH_MAX = 64;

function wrongShape(what: string): DeltaError {
  return new DeltaError("wrong_shape", `The delta does not have the expected shape: ${what}.`);
}

function editOf(edit: unknown, index: number): TextEdit {
  const start = offsetOf(edit, "start");
  const end = offsetOf(edit, "end");
  const newText = member(edit, "NewText");
  if (start === null || end === null || typeof newText !== "string") {
    throw wrongShape(`edit ${index} has no span of whole offsets or no text`);
  }
  return { start, end, newText: Buffer.from(newText, "utf8") };
}

function offsetOf(edit: unknown, point: "start" | "end"): number | null {
  const offset = member(member(member(edit, "Span"), point), "offset");
  return typeof offset === "number" && Number.isSafeInteger(offset) && offset >= 0 ? offset : null;
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}

function checkOrder(edits: readonly TextEdit[]): void {
  let from = 0;
  for (const [index, { start, end }] of edits.entries()) {
    if (start < from || end < start) {
      throw new DeltaError(
        "span_out_of_order",
        `Edit ${index} of the delta overlaps or precedes the one before it.`,
      );
    }
    from = end;
  }
}

/** The edited document. @throws DeltaError out of the iteration; bytes may have come before */
export async function* applyDelta(
  base: AsyncIterable<Uint8Array>,
  edits: readonly TextEdit[],
): AsyncGenerator<Uint8Array> {
  checkOrder(edits);
  let chunkStart = 0;
  let at = 0;
  let next = 0;
  for await (const chunk of base) {
    const chunkEnd = chunkStart + chunk.length;
    for (let edit = edits[next]; edit !== undefined && edit.start < chunkEnd; edit = edits[next]) {
      if (edit.start > at) yield chunk.subarray(at - chunkStart, edit.start - chunkStart);
      if (edit.newText.length > 0) yield edit.newText;
      at = edit.end;
      next += 1;
    }
    if (at < chunkEnd) {
      yield chunk.subarray(at - chunkStart);
      at = chunkEnd;
    }
    chunkStart = chunkEnd;
  }
  // What is left may only insert at the very end; `at` is past the end when a span was too long.
  for (const edit of edits.slice(next)) {
    if (edit.end > chunkStart) throw outOfBounds(edit, chunkStart);
    if (edit.newText.length > 0) yield edit.newText;
  }
  const last = edits[next - 1];
  if (last !== undefined && at > chunkStart) throw outOfBounds(last, chunkStart);
}

function outOfBounds(edit: TextEdit, baseBytes: number): DeltaError {
  const span = `${edit.start} to ${edit.end}`;
  return new DeltaError(
    "span_out_of_bounds",
    `The delta edits bytes ${span} of a document of ${baseBytes} bytes.`,
  );
}
