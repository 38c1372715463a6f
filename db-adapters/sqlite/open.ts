import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Database } from "../contract.ts";
import { type CommitObserver, startAdapter } from "./adapter.ts";
import type { FenceHandle } from "./fence.ts";
import { type FileSystem, fileSystemOf } from "./file-system.ts";
import { type AskedJournalMode, chooseJournaling, type Synchronous } from "./journal-mode.ts";
import { chooseThread, type Thread } from "./thread.ts";

export interface SqliteOptions {
  /** The database file; its folder is made when it isn't there. */
  readonly path: string;
  /** `auto` follows the file system. */
  readonly journalMode?: AskedJournalMode;
  readonly synchronous?: Synchronous;
  /** What the folder lies on; looked up when absent. */
  readonly fileSystem?: FileSystem;
  /** How long to wait at open for another process to let go of the file. */
  readonly busyWaitMs?: number;
  /** From `acquireInstance`: without the right to write, no commit happens. */
  readonly fence?: FenceHandle;
  /** Chosen by the file system and its fsync when absent. */
  readonly thread?: Thread;
  readonly onCommit?: CommitObserver;
  readonly log?: (line: SqliteLogLine) => void;
}

export interface SqliteLogLine {
  readonly level: "info" | "warn";
  readonly msg: string;
  readonly [field: string]: string | number | null;
}

const BUSY_WAIT_MS = 5_000;

/**
 * Opens a SQLite database file, making or migrating it as needed.
 * @throws WalRefusedError | SchemaTooNewError | DatabaseUnavailableError
 */
export async function openSqlite(options: SqliteOptions): Promise<Database> {
  const startedMs = performance.now();
  const path = resolve(options.path);
  mkdirSync(dirname(path), { recursive: true });
  const fileSystem = options.fileSystem ?? fileSystemOf(dirname(path));
  const journaling = chooseJournaling(options.journalMode ?? "auto", fileSystem, options.synchronous);
  const thread = options.thread ?? chooseThread(journaling.journalMode, dirname(path));
  const database = await startAdapter(
    { path, journaling, busyWaitMs: options.busyWaitMs ?? BUSY_WAIT_MS, fence: options.fence ?? null },
    {
      thread,
      onCommit: options.onCommit,
      onRefusedThread: (why) =>
        options.log?.({ level: "warn", msg: "SQLite stays on one thread: a second did not start", why }),
    },
  );
  const openedMs = Math.round(performance.now() - startedMs);
  options.log?.({ level: "info", msg: "SQLite opened", path, ...journaling, thread, openedMs });
  return database;
}
