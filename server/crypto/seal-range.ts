/**
 * Parts of sealed bodies that were not compressed: every segment but the last has the same length, so any byte
 * is found by arithmetic. Whatever comes out is authentic; only segments that are asked for are read. What is
 * read is freed as soon as it was opened.
 */
import { TAG_BYTES } from "./aead.ts";
import { ByteReader } from "./byte-reader.ts";
import { SealError } from "./errors.ts";
import type { Keyring } from "./keyring.ts";
import {
  bytesIn,
  type DocumentKeys,
  type DocumentPlace,
  HEADER_BYTES,
  openSegment,
  readHeader,
  readSegmentPrefix,
  SEGMENT_PLAIN_BYTES,
  SEGMENT_PREFIX_BYTES,
} from "./segments.ts";
import { CODEC_NONE } from "./zstd.ts";

const SEALED_SEGMENT_BYTES = SEGMENT_PREFIX_BYTES + SEGMENT_PLAIN_BYTES + TAG_BYTES;

/** Half-open. */
export interface PlainRange {
  readonly startByte: number;
  readonly endByte: number;
}

/** Reads `[startByte, endByte)` of the sealed bytes, clipped to what there is. */
export type ReadSealed = (startByte: number, endByte: number) => Promise<AsyncIterable<Uint8Array>>;

/** How many bytes `sealStream` with `{compress: false}` makes of `plainBytes`. */
export function sealedBytesOf(plainBytes: number): number {
  return HEADER_BYTES + segmentCountOf(plainBytes) * (SEGMENT_PREFIX_BYTES + TAG_BYTES) + plainBytes;
}

function segmentCountOf(plainBytes: number): number {
  return Math.max(1, Math.ceil(plainBytes / SEGMENT_PLAIN_BYTES));
}

function offsetOf(segment: number): number {
  return HEADER_BYTES + segment * SEALED_SEGMENT_BYTES;
}

/**
 * The bytes of `range` of a body of `plainBytes` bytes, sealed without compression.
 * @throws SealError, also when the body has another length; what `read` throws
 */
export async function* unsealRange(
  keyring: Keyring,
  place: DocumentPlace,
  plainBytes: number,
  range: PlainRange,
  read: ReadSealed,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (range.startByte >= range.endByte) return;
  const first = Math.floor(range.startByte / SEGMENT_PLAIN_BYTES);
  const last = Math.floor((range.endByte - 1) / SEGMENT_PLAIN_BYTES);
  const header = first === 0 ? null : await takeAll(await read(0, HEADER_BYTES), HEADER_BYTES);
  const sealed = await read(header === null ? 0 : offsetOf(first), offsetOf(last + 1));
  const reader = new ByteReader(sealed, { recycle: true });
  try {
    const keys = readHeader(keyring, place, header ?? (await takeExactly(reader, HEADER_BYTES)));
    if (keys.codec !== CODEC_NONE) throw new SealError("damaged", "A compressed body has no ranges");
    for (let number = first; number <= last; number++) {
      const isLast = number === segmentCountOf(plainBytes) - 1;
      let startByte = number * SEGMENT_PLAIN_BYTES;
      for (const piece of await nextSegment(reader, keys, number, isLast)) {
        const wanted = clipped(piece, range.startByte - startByte, range.endByte - startByte);
        if (wanted.length > 0) yield wanted;
        startByte += piece.length;
      }
    }
  } finally {
    await reader.close();
  }
}

async function nextSegment(
  reader: ByteReader,
  keys: DocumentKeys,
  number: number,
  isLast: boolean,
): Promise<Buffer[]> {
  const prefix = await takeExactly(reader, SEGMENT_PREFIX_BYTES);
  const segment = readSegmentPrefix(prefix);
  if (segment.isLast !== isLast) throw new SealError("truncated", "A sealed body of another length");
  const sealed = await reader.takeParts(segment.sealedBytes);
  if (bytesIn(sealed) < segment.sealedBytes) throw tooShort();
  return openSegment(keys, number, prefix, sealed);
}

function clipped(piece: Uint8Array, from: number, to: number): Uint8Array {
  if (from <= 0 && to >= piece.length) return piece;
  return piece.subarray(Math.max(0, from), Math.max(0, to));
}

function tooShort(): SealError {
  return new SealError("truncated", "A sealed body ends too early");
}

async function takeAll(body: AsyncIterable<Uint8Array>, bytes: number): Promise<Buffer> {
  const reader = new ByteReader(body);
  try {
    return await takeExactly(reader, bytes);
  } finally {
    await reader.close();
  }
}

async function takeExactly(reader: ByteReader, bytes: number): Promise<Buffer> {
  const taken = await reader.take(bytes);
  if (taken.length < bytes) throw tooShort();
  return Buffer.concat([taken]); // its chunk may be freed by the next take
}
