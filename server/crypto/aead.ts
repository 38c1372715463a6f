/** AES-256-GCM in one call, as everything sealed here uses it. */
import { createCipheriv, createDecipheriv, type KeyObject } from "node:crypto";

export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;
const ALGORITHM = "aes-256-gcm";
const TAG_LENGTH = { authTagLength: TAG_BYTES }; // without it Node takes shorter tags, which are easier to forge
/** Made at a time: what is longer comes fresh from the kernel each time, page by page, at half the speed. */
const PIECE_BYTES = 64 * 1024;

/** `nonce` must never be used twice with one key. */
export interface AeadParams {
  readonly key: KeyObject;
  readonly nonce: Uint8Array;
  /** Authenticated, not stored. */
  readonly aad: Uint8Array;
}

/** `prefix`, the ciphertext and the tag in one buffer. The prefix is authenticated only if `aad` holds it. */
export function encrypt(params: AeadParams, prefix: Uint8Array, plain: Uint8Array): Buffer {
  const cipher = createCipheriv(ALGORITHM, params.key, params.nonce, TAG_LENGTH);
  cipher.setAAD(params.aad);
  const body = cipher.update(plain);
  cipher.final(); // GCM holds nothing back
  return Buffer.concat([prefix, body, cipher.getAuthTag()]);
}

/**
 * The ciphertext in pieces, then the tag: for what is too long to be copied together. Each piece is made when it
 * is asked for.
 */
export function* encryptParts(
  params: AeadParams,
  parts: readonly Uint8Array[],
): Generator<Buffer, void, undefined> {
  const cipher = createCipheriv(ALGORITHM, params.key, params.nonce, TAG_LENGTH);
  cipher.setAAD(params.aad);
  for (const part of parts) {
    for (let at = 0; at < part.length; at += PIECE_BYTES)
      yield cipher.update(part.subarray(at, at + PIECE_BYTES));
  }
  cipher.final(); // GCM holds nothing back
  yield cipher.getAuthTag();
}

/** The plain bytes in pieces, all authentic, of what `encryptParts` made; null when it is not that. */
export function decryptParts(params: AeadParams, sealed: readonly Uint8Array[]): Buffer[] | null {
  const sealedBytes = sealed.reduce((sum, part) => sum + part.length, 0);
  if (sealedBytes < TAG_BYTES) return null;
  const decipher = createDecipheriv(ALGORITHM, params.key, params.nonce, TAG_LENGTH);
  decipher.setAAD(params.aad);
  const pieces: Buffer[] = [];
  const tag: Uint8Array[] = [];
  let left = sealedBytes - TAG_BYTES;
  for (const part of sealed) {
    const body = part.subarray(0, left);
    left -= body.length;
    for (let at = 0; at < body.length; at += PIECE_BYTES) {
      pieces.push(decipher.update(body.subarray(at, at + PIECE_BYTES)));
    }
    tag.push(part.subarray(body.length));
  }
  decipher.setAuthTag(Buffer.concat(tag));
  try {
    decipher.final();
  } catch {
    return null; // OpenSSL says only "unable to authenticate data"
  }
  return pieces;
}

/** `sealed` is ciphertext and tag. Null when it is not what `encrypt` made of the same parameters. */
export function decrypt(params: AeadParams, sealed: Uint8Array): Buffer | null {
  const tagStart = sealed.length - TAG_BYTES;
  if (tagStart < 0) return null;
  const decipher = createDecipheriv(ALGORITHM, params.key, params.nonce, TAG_LENGTH);
  decipher.setAAD(params.aad);
  decipher.setAuthTag(sealed.subarray(tagStart));
  const plain = decipher.update(sealed.subarray(0, tagStart));
  try {
    decipher.final();
  } catch {
    return null; // OpenSSL says only "unable to authenticate data"
  }
  return plain;
}

/** A view of the same memory with Buffer's reading methods. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
