/** Names of what lies in the data folder. */
import { join } from "node:path";

export interface DataDirPaths {
  readonly database: string;
  readonly encryptionKey: string;
  readonly adminToken: string;
}

export function dataDirPaths(dataDir: string): DataDirPaths {
  return {
    database: join(dataDir, "statehouse.db"),
    encryptionKey: join(dataDir, "encryption.key"),
    adminToken: join(dataDir, "admin.token"),
  };
}

/** The data folder can't be used as it is. The message is one clear sentence; `advice` says what to do. */
export class DataDirError extends Error {
  override readonly name = "DataDirError";
  readonly kind:
    | "not_a_folder"
    | "not_writable"
    | "not_readable"
    | "key_damaged"
    | "key_missing"
    | "token_damaged";
  readonly advice: string;
  constructor(
    kind: DataDirError["kind"],
    words: { problem: string; advice: string },
    options?: ErrorOptions,
  ) {
    super(`${words.problem}. ${words.advice}`, options);
    this.kind = kind;
    this.advice = words.advice;
  }
}
