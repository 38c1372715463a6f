/**
 * Tokens of leases. Each carries a MAC, so that any replica knows one of ours from a guess without asking anybody;
 * whether its lease still holds is for the database.
 */
import { createHmac, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto";
import type { Keyring } from "./keyring.ts";

const PREFIX = "lease_";
const PURPOSE = "lease token";
const SCOPE = "every lease";
const KEY_ID_BYTES = 4;
const RANDOM_BYTES = 32;
const MAC_BYTES = 24;

export function newLeaseToken(keyring: Keyring): string {
  const keyId = Buffer.alloc(KEY_ID_BYTES);
  keyId.writeUInt32BE(keyring.currentId);
  const body = Buffer.concat([keyId, randomBytes(RANDOM_BYTES)]);
  const key = keyring.scopeKey(keyring.currentId, SCOPE, PURPOSE);
  if (key === null) throw new Error("the keyring lacks its current key");
  return PREFIX + Buffer.concat([body, macOf(key, body)]).toString("base64url");
}

/** Whether this instance, or another replica of it, has made the token. */
export function isOwnLeaseToken(keyring: Keyring, token: string): boolean {
  if (!token.startsWith(PREFIX)) return false;
  const bytes = Buffer.from(token.slice(PREFIX.length), "base64url");
  if (bytes.length !== KEY_ID_BYTES + RANDOM_BYTES + MAC_BYTES) return false;
  const key = keyring.scopeKey(bytes.readUInt32BE(), SCOPE, PURPOSE);
  const [body, mac] = [bytes.subarray(0, -MAC_BYTES), bytes.subarray(-MAC_BYTES)];
  return key !== null && timingSafeEqual(macOf(key, body), mac);
}

function macOf(key: KeyObject, body: Uint8Array): Buffer {
  return createHmac("sha256", key).update(body).digest().subarray(0, MAC_BYTES);
}
