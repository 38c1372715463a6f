/**
 * Sealing of documents of any size: compressed and encrypted in segments of 256 KiB, so memory stays bounded
 * and no byte leaves before its segment was authenticated. segments.ts has the format.
 */
import { asBuffer } from "./aead.ts";
import { ByteReader } from "./byte-reader.ts";
import { SealError } from "./errors.ts";
import type { Keyring } from "./keyring.ts";
import { freeBytes } from "./memory.ts";
import {
  bytesIn,
  type DocumentKeys,
  HEADER_BYTES,
  newDocument,
  openSegment,
  readHeader,
  readSegmentPrefix,
  SEGMENT_PLAIN_BYTES,
  SEGMENT_PREFIX_BYTES,
  type SegmentPrefix,
  sealSegment,
} from "./segments.ts";
import { CODEC_NONE, CODEC_ZSTD, compress, compressNow, decompress, decompressNow } from "./zstd.ts";

type Body = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export interface SealStreamOptions {
  /** Default true. False for what is compressed already, such as zip archives. */
  readonly compress?: boolean;
  /**
   * Only without compression: the chunks of the body are ours, and whoever iterates is done with a chunk when
   * it asks for the next. Both are freed then, so that the stream takes no more than a few segments.
   */
  readonly recycle?: boolean;
}

/**
 * The sealed form of `body`, which opens only with the same scope and blob key. A body of one segment comes
 * as one chunk, made on this thread; larger ones are compressed in the thread pool while the next segment is
 * read. Chunks of `body` must not be changed once they were yielded. Throws what `body` throws.
 */
export async function* sealStream(
  keyring: Keyring,
  scopeId: string,
  blobKey: string,
  body: Body,
  options: SealStreamOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const codec = options.compress === false ? CODEC_NONE : CODEC_ZSTD;
  const recycle = codec === CODEC_NONE && options.recycle === true;
  const reader = new ByteReader(body, { recycle });
  const { header, keys } = newDocument(keyring, { scopeId, blobKey }, codec);
  try {
    const first = await reader.takeParts(SEGMENT_PLAIN_BYTES);
    if (await reader.isAtEnd()) {
      const packed = codec === CODEC_ZSTD ? [compressNow(joined(first))] : first;
      const segment = { number: 0, isLast: true, plainBytes: bytesIn(first) };
      yield Buffer.concat([header, ...sealSegment(keys, segment, packed)]);
    } else {
      yield header;
      yield* codec === CODEC_ZSTD
        ? sealCompressed(keys, joined(first), reader)
        : sealPlain(keys, first, reader, recycle);
    }
  } finally {
    await reader.close();
  }
}

/**
 * The plain bytes of what `sealStream` made. Every chunk is authentic, but only the end of the iteration says
 * that it was all: a document that was cut off gives its beginning and then throws.
 * @throws SealError damaged | wrong_key | truncated | unknown_key; what `sealed` throws
 */
export async function* unsealStream(
  keyring: Keyring,
  scopeId: string,
  blobKey: string,
  sealed: Body,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = new ByteReader(sealed);
  try {
    const header = await takeExactly(reader, HEADER_BYTES);
    const keys = readHeader(keyring, { scopeId, blobKey }, header);
    for (let number = 0, isLast = false; !isLast; number++) {
      const prefix = await takeExactly(reader, SEGMENT_PREFIX_BYTES);
      const segment = readSegmentPrefix(prefix);
      isLast = segment.isLast;
      const sealedParts = await takePartsExactly(reader, segment.sealedBytes);
      const packed = joined(openSegment(keys, number, prefix, sealedParts));
      if (isLast && !(await reader.isAtEnd())) {
        throw new SealError("damaged", "Bytes after the last segment of a sealed document");
      }
      const plain = await unpack(keys, segment, packed, number === 0);
      if (plain.length > 0) yield plain;
    }
  } finally {
    await reader.close();
  }
}

/** All segments of a body that has more than `first`. */
async function* sealCompressed(
  keys: DocumentKeys,
  first: Uint8Array,
  reader: ByteReader,
): AsyncGenerator<Uint8Array, void, undefined> {
  let plain = first;
  for (let number = 0, isLast = false; !isLast; number++) {
    const packing = compress(plain);
    packing.catch(() => undefined); // if reading fails first, nobody awaits it
    const next = await reader.take(SEGMENT_PLAIN_BYTES); // meanwhile
    isLast = next.length === 0;
    yield* sealSegment(keys, { number, isLast, plainBytes: plain.length }, [await packing]);
    plain = next;
  }
}

/** As `sealCompressed`, as it is: nothing is copied together. */
async function* sealPlain(
  keys: DocumentKeys,
  first: readonly Uint8Array[],
  reader: ByteReader,
  recycle: boolean,
): AsyncGenerator<Uint8Array, void, undefined> {
  let plain = first;
  for (let number = 0, isLast = false; !isLast; number++) {
    isLast = await reader.isAtEnd();
    for (const chunk of sealSegment(keys, { number, isLast, plainBytes: bytesIn(plain) }, plain)) {
      yield chunk;
      if (recycle) freeBytes(chunk);
    }
    if (!isLast) plain = await reader.takeParts(SEGMENT_PLAIN_BYTES);
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
}

/** On this thread when the document has one segment alone: that is cheaper than the way to the pool. */
function unpack(
  keys: DocumentKeys,
  { isLast, plainBytes }: SegmentPrefix,
  packed: Uint8Array,
  isFirst: boolean,
): Uint8Array | Promise<Uint8Array> {
  if (keys.codec === CODEC_NONE) return packed;
  return isFirst && isLast ? decompressNow(packed, plainBytes) : decompress(packed, plainBytes);
}

async function takeExactly(reader: ByteReader, bytes: number): Promise<Buffer> {
  return asBuffer(joined(await takePartsExactly(reader, bytes)));
}

async function takePartsExactly(reader: ByteReader, bytes: number): Promise<Uint8Array[]> {
  const parts = await reader.takeParts(bytes);
  if (bytesIn(parts) < bytes) throw new SealError("truncated", "A sealed document ends too early");
  return parts;
}
