/**
 * An advisory lock that the kernel frees when its process dies. Node has no flock(2); SQLite has POSIX locks,
 * which also hold over NFSv4. So the lock is an open exclusive transaction on an empty SQLite file, to which
 * nothing is ever written. (Never open that file by other means: POSIX locks go when any handle is closed.)
 */
import SqliteDatabase from "better-sqlite3";

export interface HeldLock {
  release(): void;
}

/** Null when somebody else holds it. Doesn't wait. */
export function tryLock(path: string): HeldLock | null {
  const connection = new SqliteDatabase(path, { timeout: 0 });
  try {
    connection.pragma("journal_mode = memory"); // else a journal file appears beside the lock
    connection.exec("begin exclusive");
    return { release: () => void connection.close() };
  } catch (error) {
    connection.close();
    if (error instanceof SqliteDatabase.SqliteError && error.code.startsWith("SQLITE_BUSY")) return null;
    throw error;
  }
}
