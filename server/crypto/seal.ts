/**
 * Small bodies for database rows: journal batches, engine events, config. Synchronous and in memory.
 *
 *     version 1 | codec 1 | key id 4 | plain length 4 | nonce 12 | ciphertext | tag 16
 *
 * The key is that of the scope; header, scope and purpose are authenticated with the body, so a row moved
 * to another stack or another column does not open.
 */

import { gunzipSync } from "node:zlib";
import { asBuffer, decrypt, encrypt, NONCE_BYTES, TAG_BYTES } from "./aead.ts";
import { SealError } from "./errors.ts";
import type { Keyring } from "./keyring.ts";
import { randomBytesPooled } from "./random.ts";
import { CODEC_NONE, CODEC_ZSTD, compressNow, decompressNow } from "./zstd.ts";

const VERSION = 1;
const HEADER_BYTES = 10;
const KEY_PURPOSE = "row";
const CODEC_GZIP = 2;
const CODECS: ReadonlySet<number> = new Set([CODEC_NONE, CODEC_ZSTD, CODEC_GZIP]);
/** Below this zstd saves next to nothing. */
const COMPRESS_FROM_BYTES = 256;

/** How much longer sealed bytes are than plain ones, at most. */
export const SEAL_OVERHEAD_BYTES = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;
/** Bodies beyond this belong in a blob. */
export const SEAL_PLAIN_BYTES_MAX = 256 * 1024 * 1024;

export interface SealOptions {
  /** Asks for zstd; it is left out where it does not make the body smaller. */
  readonly compress: boolean;
  /** The same bytes as gzip, if they came so: stored in their place where that is smaller. */
  readonly gzip?: Uint8Array | null;
}

/**
 * `purpose` says what the bytes are, as precisely as the reader can say it too ("journal:<update id>").
 * @throws RangeError past SEAL_PLAIN_BYTES_MAX
 */
export function seal(
  keyring: Keyring,
  scopeId: string,
  purpose: string,
  bytes: Uint8Array,
  options: SealOptions,
): Uint8Array {
  if (bytes.length > SEAL_PLAIN_BYTES_MAX)
    throw new RangeError(`${bytes.length} bytes are too many for a row`);
  const { codec, packed } = packedBy(options, bytes);
  const prefix = Buffer.allocUnsafe(HEADER_BYTES + NONCE_BYTES);
  prefix.writeUInt8(VERSION, 0);
  prefix.writeUInt8(codec, 1);
  prefix.writeUInt32BE(keyring.currentId, 2);
  prefix.writeUInt32BE(bytes.length, 6);
  const nonce = randomBytesPooled(NONCE_BYTES);
  nonce.copy(prefix, HEADER_BYTES);
  const key = keyring.scopeKey(keyring.currentId, scopeId, KEY_PURPOSE);
  if (key === null) throw new SealError("unknown_key", "The keyring lacks its own current key");
  return encrypt({ key, nonce, aad: additionalData(prefix, scopeId, purpose) }, prefix, packed);
}

function packedBy(options: SealOptions, bytes: Uint8Array): { codec: number; packed: Uint8Array } {
  const { compress, gzip = null } = options;
  if (gzip !== null && gzip.length < bytes.length) return { codec: CODEC_GZIP, packed: gzip };
  if (compress && bytes.length >= COMPRESS_FROM_BYTES) {
    const packed = compressNow(bytes);
    if (packed.length < bytes.length) return { codec: CODEC_ZSTD, packed };
  }
  return { codec: CODEC_NONE, packed: bytes };
}

/** Whether this is what `seal` made, and not a document of segments (seal-stream.ts), which begins otherwise. */
export function isSealedRow(sealed: Uint8Array): boolean {
  return sealed[0] === VERSION;
}

/** @throws SealError unless `sealed` is what `seal` made for this scope and purpose */
export function unseal(keyring: Keyring, scopeId: string, purpose: string, sealed: Uint8Array): Uint8Array {
  const bytes = asBuffer(sealed);
  if (bytes.length < SEAL_OVERHEAD_BYTES)
    throw new SealError("truncated", "Sealed bytes without a whole header");
  const codec = bytes.readUInt8(1);
  if (bytes.readUInt8(0) !== VERSION || !CODECS.has(codec)) {
    throw new SealError("damaged", "Not bytes sealed by this server");
  }
  const keyId = bytes.readUInt32BE(2);
  const key = keyring.scopeKey(keyId, scopeId, KEY_PURPOSE);
  if (key === null) throw new SealError("unknown_key", `Sealed under the unknown master key ${keyId}`);
  const nonce = bytes.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES);
  const body = bytes.subarray(HEADER_BYTES + NONCE_BYTES);
  const packed = decrypt({ key, nonce, aad: additionalData(bytes, scopeId, purpose) }, body);
  if (packed === null)
    throw new SealError("damaged", "Sealed bytes are damaged, or of another scope or purpose");
  const plainBytes = bytes.readUInt32BE(6); // authenticated: it is the length we wrote
  if (codec === CODEC_ZSTD) return decompressNow(packed, plainBytes);
  return codec === CODEC_GZIP ? gunzipNow(packed, plainBytes) : packed;
}

/** @throws SealError when it isn't the gzip of `plainBytes` bytes */
function gunzipNow(packed: Uint8Array, plainBytes: number): Uint8Array {
  const plain = gunzipSync(packed, { maxOutputLength: Math.max(plainBytes, 1) });
  if (plain.length !== plainBytes) throw new SealError("damaged", "Sealed gzip of another length");
  return plain;
}

/** The scope's length comes first, or ("ab", "c") and ("a", "bc") would be the same bytes. */
function additionalData(prefix: Buffer, scopeId: string, purpose: string): Buffer {
  const names = Buffer.from(`${Buffer.byteLength(scopeId)}:${scopeId}${purpose}`);
  return Buffer.concat([prefix.subarray(0, HEADER_BYTES), names]);
}
