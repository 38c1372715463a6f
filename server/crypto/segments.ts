/**
 * The inside of a sealed document: how its header is spelt, how its keys are made, how one segment is sealed
 * and opened. seal-stream.ts strings segments together.
 *
 *     header:  magic "SHSD" 4 | version 1 | codec 1 | key id 4 | salt 32 | commitment 16
 *     segment: last flag and sealed length 4 | plain length 4 | ciphertext | tag 16
 *
 * Every document has keys of its own, from HKDF over the scope's key, the random salt, the header's fields and
 * the blob key: so a document of another scope, under another blob key or with another header has other keys.
 * The commitment, made by the same HKDF, says "wrong key" before any byte is opened. Segments are the STREAM
 * construction: the nonce holds the segment's number and whether it is the last, so one that is missing,
 * moved, doubled or from elsewhere does not open.
 */
import { createSecretKey, hkdfSync, type KeyObject, timingSafeEqual } from "node:crypto";
import { decryptParts, encryptParts, NONCE_BYTES, TAG_BYTES } from "./aead.ts";
import { SealError } from "./errors.ts";
import type { Keyring } from "./keyring.ts";
import { randomBytesPooled } from "./random.ts";
import { CODEC_NONE, CODEC_ZSTD, compressedBytesMax } from "./zstd.ts";

/** Plain bytes of every segment but the last, which may have fewer. */
export const SEGMENT_PLAIN_BYTES = 256 * 1024;
/** Length and flag, before each segment. */
export const SEGMENT_PREFIX_BYTES = 8;

const MAGIC = 0x53485344; // "SHSD": Statehouse sealed document
const VERSION = 1;
const FIELDS_BYTES = 10;
const SALT_BYTES = 32;
const COMMITMENT_BYTES = 16;
export const HEADER_BYTES = FIELDS_BYTES + SALT_BYTES + COMMITMENT_BYTES;

const KEY_PURPOSE = "document";
const NONCE_PREFIX_BYTES = NONCE_BYTES - 5; // a counter of 4 bytes and the last flag follow
const LAST_FLAG = 0x8000_0000;
const SEALED_BYTES_MAX = compressedBytesMax(SEGMENT_PLAIN_BYTES) + TAG_BYTES;

export type Codec = typeof CODEC_NONE | typeof CODEC_ZSTD;

/** What a document is sealed under. */
export interface DocumentKeys {
  readonly codec: Codec;
  readonly key: KeyObject;
  readonly noncePrefix: Uint8Array;
}

/** A document's place: it opens nowhere else. */
export interface DocumentPlace {
  readonly scopeId: string;
  readonly blobKey: string;
}

export interface SegmentPrefix {
  readonly isLast: boolean;
  readonly sealedBytes: number;
  readonly plainBytes: number;
}

/** A new document's header and keys, under the current master key. */
export function newDocument(
  keyring: Keyring,
  place: DocumentPlace,
  codec: Codec,
): { header: Buffer; keys: DocumentKeys } {
  const fields = Buffer.allocUnsafe(FIELDS_BYTES);
  fields.writeUInt32BE(MAGIC, 0);
  fields.writeUInt8(VERSION, 4);
  fields.writeUInt8(codec, 5);
  fields.writeUInt32BE(keyring.currentId, 6);
  const opening = Buffer.concat([fields, randomBytesPooled(SALT_BYTES)]);
  const { commitment, ...keys } = deriveKeys(keyring, place, opening, codec);
  return { header: Buffer.concat([opening, commitment]), keys };
}

/** @throws SealError damaged | unknown_key | wrong_key */
export function readHeader(keyring: Keyring, place: DocumentPlace, header: Buffer): DocumentKeys {
  const codec = header.readUInt8(5);
  const isOurs = header.readUInt32BE(0) === MAGIC && header.readUInt8(4) === VERSION;
  if (!isOurs || (codec !== CODEC_NONE && codec !== CODEC_ZSTD)) {
    throw new SealError("damaged", "Not a document sealed by this server");
  }
  const opening = header.subarray(0, FIELDS_BYTES + SALT_BYTES);
  const { commitment, ...keys } = deriveKeys(keyring, place, opening, codec);
  if (!timingSafeEqual(commitment, header.subarray(opening.length))) {
    throw new SealError("wrong_key", "Sealed for another scope or blob key, or under another master key");
  }
  return keys;
}

/** `packed` is what the codec made of `plainBytes` plain bytes. Segments are numbered from 0. */
export function* sealSegment(
  keys: DocumentKeys,
  segment: { number: number; isLast: boolean; plainBytes: number },
  packed: readonly Uint8Array[],
): Generator<Buffer, void, undefined> {
  const prefix = Buffer.allocUnsafe(SEGMENT_PREFIX_BYTES);
  const sealedBytes = bytesIn(packed) + TAG_BYTES;
  prefix.writeUInt32BE(segment.isLast ? (sealedBytes | LAST_FLAG) >>> 0 : sealedBytes, 0);
  prefix.writeUInt32BE(segment.plainBytes, 4);
  const nonce = nonceOf(keys, segment.number, segment.isLast);
  yield prefix;
  yield* encryptParts({ key: keys.key, nonce, aad: prefix }, packed);
}

export function bytesIn(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0);
}

/** Not authenticated yet, so only bounded. @throws SealError damaged for lengths that no segment has */
export function readSegmentPrefix(prefix: Buffer): SegmentPrefix {
  const word = prefix.readUInt32BE(0);
  const sealedBytes = word & ~LAST_FLAG;
  const plainBytes = prefix.readUInt32BE(4);
  if (sealedBytes < TAG_BYTES || sealedBytes > SEALED_BYTES_MAX || plainBytes > SEGMENT_PLAIN_BYTES) {
    throw new SealError("damaged", "A segment of an impossible length");
  }
  return { isLast: word >= LAST_FLAG, sealedBytes, plainBytes };
}

/** The packed bytes of segment `number`, in pieces. @throws SealError damaged */
export function openSegment(
  keys: DocumentKeys,
  number: number,
  prefix: Buffer,
  sealed: readonly Uint8Array[],
): Buffer[] {
  const { isLast } = readSegmentPrefix(prefix);
  const packed = decryptParts({ key: keys.key, nonce: nonceOf(keys, number, isLast), aad: prefix }, sealed);
  if (packed === null) throw new SealError("damaged", `Segment ${number} of a sealed document is damaged`);
  return packed;
}

/** The most a sealed document takes that has `plainBytes` bytes. */
export function sealedDocumentBytesMax(plainBytes: number): number {
  const segments = Math.floor(plainBytes / SEGMENT_PLAIN_BYTES) + 1;
  return HEADER_BYTES + segments * (SEGMENT_PREFIX_BYTES + SEALED_BYTES_MAX);
}

/** 2^32 segments of 256 KiB are a pebibyte; `writeUInt32BE` throws past it. */
function nonceOf(keys: DocumentKeys, number: number, isLast: boolean): Buffer {
  const nonce = Buffer.allocUnsafe(NONCE_BYTES);
  nonce.set(keys.noncePrefix, 0);
  nonce.writeUInt32BE(number, NONCE_PREFIX_BYTES);
  nonce.writeUInt8(isLast ? 1 : 0, NONCE_BYTES - 1);
  return nonce;
}

/** `opening` is the header up to the commitment. */
function deriveKeys(
  keyring: Keyring,
  place: DocumentPlace,
  opening: Buffer,
  codec: Codec,
): DocumentKeys & { commitment: Buffer } {
  const keyId = opening.readUInt32BE(6);
  const scopeKey = keyring.scopeKey(keyId, place.scopeId, KEY_PURPOSE);
  if (scopeKey === null) throw new SealError("unknown_key", `Sealed under the unknown master key ${keyId}`);
  const info = Buffer.concat([
    Buffer.from("statehouse document v1"),
    opening.subarray(0, FIELDS_BYTES),
    Buffer.from(place.blobKey),
  ]);
  const salt = opening.subarray(FIELDS_BYTES);
  const made = Buffer.from(
    hkdfSync("sha256", scopeKey, salt, info, 32 + NONCE_PREFIX_BYTES + COMMITMENT_BYTES),
  );
  return {
    codec,
    key: createSecretKey(made.subarray(0, 32)),
    noncePrefix: made.subarray(32, 32 + NONCE_PREFIX_BYTES),
    commitment: made.subarray(32 + NONCE_PREFIX_BYTES),
  };
}
