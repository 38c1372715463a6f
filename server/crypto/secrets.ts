/**
 * Secret values that the CLI has encrypted and keeps itself (`secure:` in Pulumi.<stack>.yaml, secrets in a
 * state). They live in users' files for years, so the format names its version and its key:
 *
 *     version 1 | key id 4 | nonce 12 | ciphertext | tag 16
 */

import { asBuffer, decrypt, encrypt, NONCE_BYTES, TAG_BYTES } from "./aead.ts";
import { SealError, SecretError } from "./errors.ts";
import type { Keyring } from "./keyring.ts";
import { randomBytesPooled } from "./random.ts";

const VERSION = 1;
const HEADER_BYTES = 5;
const PURPOSE = "secret";

/** How much longer a ciphertext is than its plaintext. */
export const SECRET_OVERHEAD_BYTES = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;

/** `plaintext` is any bytes, none included. `scopeId` is the immutable id of the stack, never its name. */
export function encryptSecret(keyring: Keyring, scopeId: string, plaintext: Uint8Array): Uint8Array {
  const prefix = Buffer.allocUnsafe(HEADER_BYTES + NONCE_BYTES);
  prefix.writeUInt8(VERSION, 0);
  prefix.writeUInt32BE(keyring.currentId, 1);
  const nonce = randomBytesPooled(NONCE_BYTES);
  nonce.copy(prefix, HEADER_BYTES);
  const key = keyring.scopeKey(keyring.currentId, scopeId, PURPOSE);
  if (key === null) throw new SealError("unknown_key", "The keyring lacks its own current key");
  return encrypt({ key, nonce, aad: additionalData(prefix, scopeId) }, prefix, plaintext);
}

/** @throws SecretError for bytes that `encryptSecret` did not make for this scope */
export function decryptSecret(keyring: Keyring, scopeId: string, ciphertext: Uint8Array): Uint8Array {
  const bytes = asBuffer(ciphertext);
  if (bytes.length < SECRET_OVERHEAD_BYTES || bytes.readUInt8(0) !== VERSION) {
    throw new SecretError("damaged", "Not a ciphertext of this server");
  }
  const keyId = bytes.readUInt32BE(1);
  const key = keyring.scopeKey(keyId, scopeId, PURPOSE);
  if (key === null) throw new SecretError("unknown_key", `The ciphertext needs the master key ${hex(keyId)}`);
  const nonce = bytes.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES);
  const sealed = bytes.subarray(HEADER_BYTES + NONCE_BYTES);
  const plain = decrypt({ key, nonce, aad: additionalData(bytes, scopeId) }, sealed);
  if (plain === null) throw new SecretError("damaged", "The ciphertext is damaged or of another stack");
  return plain;
}

function additionalData(prefix: Buffer, scopeId: string): Buffer {
  return Buffer.concat([prefix.subarray(0, HEADER_BYTES), Buffer.from(scopeId)]);
}

function hex(keyId: number): string {
  return keyId.toString(16).padStart(8, "0");
}
