import type { Logger } from "pino";
import type { SharedDatabase } from "../db-adapters/contract.ts";
import type { BlobStore } from "../storage-adapters/contract.ts";
import type { DocumentStore } from "./blobs/documents.ts";
import type { Config } from "./config/schema.ts";
import type { Keyring } from "./crypto/keyring.ts";
import type { Deadlines } from "./jobs/deadlines.ts";
import type { Metrics } from "./metrics.ts";
import type { Replayer } from "./services/replayer.ts";

/** A service's own memory of one context: made at its first use, gone with the context. */
export function perContext<T>(make: () => T): (ctx: Context) => T {
  const made = new WeakMap<Context, T>();
  return (ctx) => {
    const found = made.get(ctx);
    if (found !== undefined) return found;
    const fresh = make();
    made.set(ctx, fresh);
    return fresh;
  };
}

/** What every service is given. Built once by `main.ts` (or by a test); stays this small. */
export interface Context {
  readonly config: Config;
  readonly db: SharedDatabase;
  readonly blobs: BlobStore;
  readonly documents: DocumentStore;
  readonly keyring: Keyring;
  readonly replayer: Replayer;
  readonly deadlines: Deadlines;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** SHA-256 of the admin token. */
  readonly adminTokenHash: Uint8Array;
  readonly nowMs: () => number;
  readonly newId: () => string;
  /** Ids that sort by the time they were made: rows written together lie together in the database's indexes. */
  readonly newOrderedId: () => string;
}
