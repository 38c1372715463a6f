/** What can go wrong at open, beside a database that can't be reached. */
export { SchemaTooNewError } from "../errors.ts";

/** WAL was asked for on a file system that can't carry it: databases get destroyed that way. */
export class WalRefusedError extends Error {
  override readonly name = "WalRefusedError";
}
