/** What can go wrong at open with any engine, beside a database that can't be reached. */

/** The database was written by a newer release. Nothing was changed. */
export class SchemaTooNewError extends Error {
  override readonly name = "SchemaTooNewError";
  readonly found: number;
  readonly known: number;
  constructor(found: number, known: number) {
    super(
      `The database has schema ${found}, this release knows ${known}. ` +
        "Start the release that wrote it, or restore a backup from before the upgrade.",
    );
    this.found = found;
    this.known = known;
  }
}
