import { WalRefusedError } from "./errors.ts";
import type { FileSystem } from "./file-system.ts";

export type AskedJournalMode = "auto" | "wal" | "truncate" | "persist";
export type Synchronous = "full" | "extra";

/** How the connection keeps what it acknowledged. */
export interface Journaling {
  readonly journalMode: "wal" | "truncate" | "persist";
  readonly synchronous: Synchronous;
  /**
   * `exclusive` keeps the file lock from open to close: on a network each lock is a round trip, and a second
   * writer there is how databases get lost. A local disk stays `normal`, so that a backup tool or the
   * `sqlite3` shell may read beside us; the instance guard keeps a second writer out.
   */
  readonly lockingMode: "normal" | "exclusive";
  /** For the start-up line and `doctor`. */
  readonly why: string;
}

/**
 * WAL on a local disk, a rollback journal everywhere else. Both at FULL at least: WAL at NORMAL may lose the
 * last commits to a power cut, and what we acknowledged must be there.
 * @throws WalRefusedError when WAL is asked for on anything but a local file system
 */
export function chooseJournaling(
  asked: AskedJournalMode,
  fileSystem: FileSystem,
  synchronous: Synchronous = "full",
): Journaling {
  const local = fileSystem.kind === "local";
  const place = `${fileSystem.mountPoint} is ${fileSystem.type} (${fileSystem.kind})`;
  if (asked === "wal" && !local)
    throw new WalRefusedError(`WAL needs a local file system, but ${place}; use truncate or auto`);
  const lockingMode = local ? "normal" : "exclusive";
  if (asked !== "auto") return { journalMode: asked, synchronous, lockingMode, why: `asked for; ${place}` };
  return { journalMode: local ? "wal" : "truncate", synchronous, lockingMode, why: place };
}
