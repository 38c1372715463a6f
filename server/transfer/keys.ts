/**
 * Keys across a move: what the source sealed stays as it is, and the keys that open it go along, sealed under the
 * target's own. Nothing is sealed anew, so no byte is at risk, and ciphertexts that users keep in files of theirs
 * (`secure:` in Pulumi.<stack>.yaml) go on being readable.
 */
import { createDocumentStore } from "../blobs/documents.ts";
import { checkCanary } from "../crypto/canary.ts";
import { openCarriedKeys, ringOf, sealCarriedKeys } from "../crypto/carried-keys.ts";
import { SealError } from "../crypto/errors.ts";
import { keyIdOf } from "../crypto/keyring.ts";
import { CARRIED_KEYS_SETTING } from "../rules/bulk-rows.ts";
import { TransferError } from "./errors.ts";
import type { Target, TargetPlace } from "./target.ts";

/** What `stored` holds, or nothing when none of the keys opens it. */
function carriedOf(keys: readonly Uint8Array[], stored: string | null): Uint8Array[] {
  if (stored === null) return [];
  try {
    return openCarriedKeys(ringOf(keys), stored);
  } catch (error) {
    if (error instanceof SealError) return [];
    throw error;
  }
}

export interface SourceKeys {
  /** Sealed with the source's current key; tells which data this is. */
  readonly canary: string;
  /** The source's own record of keys from elsewhere. */
  readonly carried: string | null;
}

/**
 * The target with every key that it will need.
 * @throws TransferError other_key
 */
export async function withKeys(place: TargetPlace, source: SourceKeys): Promise<Target> {
  const known = [...place.ownKeys, ...place.otherKeys];
  const before = carriedOf(place.ownKeys, await place.db.findSetting(CARRIED_KEYS_SETTING));
  const all = [...known, ...before, ...carriedOf([...known, ...before], source.carried)];
  const keyring = ringOf(all);
  const isReadable = checkCanary(keyring, Buffer.from(source.canary, "base64")) === "match";
  if (!isReadable || (source.carried !== null && carriedOf(all, source.carried).length === 0)) {
    throw new TransferError(
      "other_key",
      "The target has another encryption key than the source, and could read nothing of what it is given. Name the " +
        "source with --from and a folder or a file that gives its key; or list that key in " +
        "STATEHOUSE_PREVIOUS_ENCRYPTION_KEYS of the target for the transfer. It is carried over, sealed under the " +
        "target's own, and not needed afterwards.",
    );
  }
  return { ...place, keyring, documents: createDocumentStore(place.blobs, keyring), keys: all };
}

/** From here on the target's own key is enough. */
export async function carryKeys(target: Target): Promise<void> {
  const [own, ...others] = target.keys;
  if (own === undefined) return;
  const byId = new Map(
    others.filter((key) => keyIdOf(key) !== keyIdOf(own)).map((key) => [keyIdOf(key), key]),
  );
  if (byId.size === 0) return;
  await target.db.putSetting(CARRIED_KEYS_SETTING, sealCarriedKeys(ringOf([own]), [...byId.values()]));
}
