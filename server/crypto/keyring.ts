/**
 * Master keys in, keys for one scope and one purpose out. A scope is what owns the bytes (the immutable id of a
 * stack): bytes of one scope cannot be opened as those of another, even by a mistake in a query.
 */
import { createSecretKey, hkdfSync, type KeyObject } from "node:crypto";

export const MASTER_KEY_BYTES = 32;
/** Derived keys kept in memory; one costs about 8 µs to derive again. */
const CACHED_KEYS_MAX = 10_000;

export interface MasterKey {
  /** Written into everything sealed, unsigned 32-bit; usually `keyIdOf(key)`. */
  readonly id: number;
  /** 32 random bytes. */
  readonly key: Uint8Array;
}

export interface Keyring {
  /** The key that new writes use. */
  readonly currentId: number;
  /** The AES-256 key of `scopeId` for `purpose`; null when there is no master key `keyId`. */
  scopeKey(keyId: number, scopeId: string, purpose: string): KeyObject | null;
}

/**
 * The first master key is current; the others only open what was sealed before a rotation.
 * @throws RangeError for no key at all, a key of another length than 32 bytes, or an id that is not unique
 */
export function createKeyring(masterKeys: readonly MasterKey[]): Keyring {
  const masters = new Map<number, KeyObject>();
  for (const { id, key } of masterKeys) {
    if (!Number.isInteger(id) || id < 0 || id > 0xffff_ffff) throw new RangeError("A key id is a uint32");
    if (key.length !== MASTER_KEY_BYTES) throw new RangeError(`A master key has ${MASTER_KEY_BYTES} bytes`);
    if (masters.has(id)) throw new RangeError(`Two master keys have the id ${id}`);
    masters.set(id, createSecretKey(key));
  }
  const current = masterKeys[0];
  if (current === undefined) throw new RangeError("A keyring needs a master key");
  const cache = new Map<string, KeyObject>(); // in the order of last use

  return {
    currentId: current.id,
    scopeKey(keyId, scopeId, purpose) {
      const master = masters.get(keyId);
      if (master === undefined) return null;
      const name = `${keyId}:${purpose.length}:${purpose}${scopeId}`; // no two say the same
      const found = cache.get(name) ?? deriveKey(master, scopeId, purpose);
      cache.delete(name);
      cache.set(name, found);
      if (cache.size > CACHED_KEYS_MAX) evictOldest(cache);
      return found;
    },
  };
}

/** A stable id for a master key, so that nobody has to number keys. It tells nothing about the key. */
export function keyIdOf(masterKey: Uint8Array): number {
  const id = hkdfSync("sha256", masterKey, "", "statehouse key id v1", 4);
  return new DataView(id).getUint32(0);
}

function deriveKey(master: KeyObject, scopeId: string, purpose: string): KeyObject {
  const info = `statehouse scope key v1: ${purpose}`;
  return createSecretKey(new Uint8Array(hkdfSync("sha256", master, scopeId, info, 32)));
}

function evictOldest(cache: Map<string, KeyObject>): void {
  const oldest = cache.keys().next();
  if (!oldest.done) cache.delete(oldest.value);
}
