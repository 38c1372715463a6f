/** The side that is written: opened by the command itself, and marked until everything is there. */
import type { Database } from "../../db-adapters/contract.ts";
import type { BlobStore } from "../../storage-adapters/contract.ts";
import type { DocumentStore } from "../blobs/documents.ts";
import type { Keyring } from "../crypto/keyring.ts";
import { TransferError } from "./errors.ts";

/** While it is there, no server starts on this data. */
export const TARGET_SETTING = "transfer target";

/** Opened, before it is known what the source's data needs. */
export interface TargetPlace {
  readonly db: Database;
  readonly blobs: BlobStore;
  /** Of its settings; the first is current. */
  readonly ownKeys: readonly Uint8Array[];
  /** That the source's settings gave. */
  readonly otherKeys: readonly Uint8Array[];
}

export interface Target extends TargetPlace {
  readonly documents: DocumentStore;
  readonly keyring: Keyring;
  /** Those of `keyring`. */
  readonly keys: readonly Uint8Array[];
}

export interface Marker {
  /** Tells the source: what was begun with one must not go on with another. */
  readonly source: string;
  readonly startedMs: number;
  readonly phase: "copying" | "verified";
}

/** What a server leaves that was started once and never used. */
const HARMLESS = ["setting", "organization", "gc_run", "audit_event", "artifact_usage"];

export async function findMarker(target: Target): Promise<Marker | null> {
  const text = await target.db.findSetting(TARGET_SETTING);
  return text === null ? null : (JSON.parse(text) as Marker);
}

export async function mark(target: Target, marker: Marker | null): Promise<void> {
  await target.db.putSetting(TARGET_SETTING, marker && JSON.stringify(marker));
}

/**
 * Takes an empty target, or one where this transfer stopped before.
 * @throws TransferError target_not_empty
 */
export async function claimTarget(target: Target, source: string, nowMs: number): Promise<Marker> {
  const found = await findMarker(target);
  if (found !== null) {
    if (found.source === source) return found;
    throw new TransferError(
      "target_not_empty",
      "The target holds an unfinished transfer from another source. Finish that one, or give an empty target.",
    );
  }
  const { tables } = await target.db.describeBulk();
  for (const { name } of tables) {
    if (HARMLESS.includes(name)) continue;
    const count = await target.db.countRows(name);
    if (count === 0) continue;
    throw new TransferError(
      "target_not_empty",
      `The target is not empty (${count} rows in ${name}). A transfer never mixes two sets of data: ` +
        "give a new folder or an empty database.",
    );
  }
  if ((await target.db.findServingState()).mode !== "open") {
    throw new TransferError("target_not_empty", "The target was moved elsewhere. Give a new one.");
  }
  const marker: Marker = { source, startedMs: nowMs, phase: "copying" };
  await mark(target, marker);
  return marker;
}
