/**
 * Small bodies for database rows: journal batches, engine events, config. Synchronous and in memory.
 *
 *     version 1 | codec 1 | key id 4 | plain length 4 | nonce 12 | ciphertext | tag 16
 *
 * The key is that of the scope; header, scope and purpose are authenticated with the body, so a row moved
 * to another stack or another column does not open.
 */

import { asBuffer, decrypt, encrypt, NONCE_BYTES, TAG_BYTES } from "./aead.ts";
import { SealError } from "./errors.ts";
import type { Keyring } from "./keyring.ts";
import { randomBytesPooled } from "./random.ts";
import { CODEC_NONE, CODEC_ZSTD, compressNow, decompressNow } from "./zstd.ts";

const VERSION = 1;
const HEADER_BYTES = 10;
const KEY_PURPOSE = "row";
/** Below this zstd saves next to nothing. */
const COMPRESS_FROM_BYTES = 256;

/** How much longer sealed bytes are than plain ones, at most. */
export const SEAL_OVERHEAD_BYTES = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;
/** Bodies beyond this belong in a blob. */
export const SEAL_PLAIN_BYTES_MAX = 256 * 1024 * 1024;

/**
 * `purpose` says what the bytes are, as precisely as the reader can say it too ("journal:<update id>").
 * `compress` asks for zstd; it is left out where it does not make the body smaller.
 * @throws RangeError past SEAL_PLAIN_BYTES_MAX
 */
export function seal(
  keyring: Keyring,
  scopeId: string,
  purpose: string,
  bytes: Uint8Array,
  options: { readonly compress: boolean },
): Uint8Array {
  if (bytes.length > SEAL_PLAIN_BYTES_MAX)
    throw new RangeError(`${bytes.length} bytes are too many for a row`);
  const packed = options.compress && bytes.length >= COMPRESS_FROM_BYTES ? compressNow(bytes) : bytes;
  const isSmaller = packed.length < bytes.length;
  const prefix = Buffer.allocUnsafe(HEADER_BYTES + NONCE_BYTES);
  prefix.writeUInt8(VERSION, 0);
  prefix.writeUInt8(isSmaller ? CODEC_ZSTD : CODEC_NONE, 1);
  prefix.writeUInt32BE(keyring.currentId, 2);
  prefix.writeUInt32BE(bytes.length, 6);
  const nonce = randomBytesPooled(NONCE_BYTES);
  nonce.copy(prefix, HEADER_BYTES);
  const key = keyring.scopeKey(keyring.currentId, scopeId, KEY_PURPOSE);
  if (key === null) throw new SealError("unknown_key", "The keyring lacks its own current key");
  return encrypt(
    { key, nonce, aad: additionalData(prefix, scopeId, purpose) },
    prefix,
    isSmaller ? packed : bytes,
  );
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
  if (bytes.readUInt8(0) !== VERSION || (codec !== CODEC_NONE && codec !== CODEC_ZSTD)) {
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
  if (codec === CODEC_NONE) return packed;
  return decompressNow(packed, bytes.readUInt32BE(6)); // authenticated: it is the length we wrote
}

/** The scope's length comes first, or ("ab", "c") and ("a", "bc") would be the same bytes. */
function additionalData(prefix: Buffer, scopeId: string, purpose: string): Buffer {
  const names = Buffer.from(`${Buffer.byteLength(scopeId)}:${scopeId}${purpose}`);
  return Buffer.concat([prefix.subarray(0, HEADER_BYTES), names]);
}
