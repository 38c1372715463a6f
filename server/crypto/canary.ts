/** A sealed constant, stored at first run: a wrong master key is told at boot, not by the first user. */
import { SealError } from "./errors.ts";
import type { Keyring } from "./keyring.ts";
import { seal, unseal } from "./seal.ts";

const SCOPE = "instance";
const PURPOSE = "canary";
const SONG = "The master key of this Statehouse is the right one.";

/** What to store at first run, and again once a rotation is over. */
export function canaryFor(keyring: Keyring): Uint8Array {
  return seal(keyring, SCOPE, PURPOSE, Buffer.from(SONG), { compress: false });
}

/** "match" also when an older key of the ring made it. Damage to `stored` looks like a wrong key. */
export function checkCanary(keyring: Keyring, stored: Uint8Array): "match" | "wrong_key" {
  try {
    return Buffer.from(unseal(keyring, SCOPE, PURPOSE, stored)).toString() === SONG ? "match" : "wrong_key";
  } catch (error) {
    if (error instanceof SealError) return "wrong_key";
    throw error;
  }
}
