/**
 * Master keys that came with data from elsewhere: sealed under this side's own key and kept in its database, so that
 * the server opens what they sealed and needs no key but its own.
 */
import { createKeyring, type Keyring, keyIdOf } from "./keyring.ts";
import { seal, unseal } from "./seal.ts";

const SCOPE = "instance";
const PURPOSE = "carried keys";

/** The first key is current. The same key may come more than once. */
export function ringOf(keys: readonly Uint8Array[]): Keyring {
  const byId = new Map(keys.toReversed().map((key) => [keyIdOf(key), key]));
  const [current] = keys;
  const first = current === undefined ? [] : [{ id: keyIdOf(current), key: current }];
  return createKeyring([
    ...first,
    ...[...byId].filter(([id]) => id !== first[0]?.id).map(([id, key]) => ({ id, key })),
  ]);
}

/** What to store: readable with `keyring`'s current key alone. */
export function sealCarriedKeys(keyring: Keyring, keys: readonly Uint8Array[]): string {
  const text = JSON.stringify(keys.map((key) => Buffer.from(key).toString("hex")));
  return Buffer.from(seal(keyring, SCOPE, PURPOSE, Buffer.from(text), { compress: false })).toString(
    "base64",
  );
}

/** @throws SealError unless `keyring` has the key that sealed it */
export function openCarriedKeys(keyring: Keyring, stored: string): Uint8Array[] {
  const text = Buffer.from(unseal(keyring, SCOPE, PURPOSE, Buffer.from(stored, "base64"))).toString();
  return (JSON.parse(text) as string[]).map((hex) => Buffer.from(hex, "hex"));
}
