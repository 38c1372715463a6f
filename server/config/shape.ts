/** The two shapes, and which settings contradict each other. Pure. */

export const MODES = ["efs", "aurora"] as const;
export const DATABASES = ["sqlite", "postgres"] as const;
export const FILE_STORES = ["disk", "s3"] as const;

export type DatabaseKind = (typeof DATABASES)[number];
export type FileStoreKind = (typeof FILE_STORES)[number];

export interface ShapeSettings {
  readonly mode: (typeof MODES)[number];
  readonly database: DatabaseKind | null;
  readonly files: FileStoreKind | null;
  readonly replicas: number;
  readonly databaseUrl: string | null;
  readonly encryptionKey: string | null;
  readonly adminToken: string | null;
  readonly s3Bucket: string | null;
}

export interface Adapters {
  readonly database: DatabaseKind;
  readonly files: FileStoreKind;
}

/** What the mode picks; each can be set alone. */
export function adaptersOf(settings: Pick<ShapeSettings, "mode" | "database" | "files">): Adapters {
  const isAurora = settings.mode === "aurora";
  return {
    database: settings.database ?? (isAurora ? "postgres" : "sqlite"),
    files: settings.files ?? (isAurora ? "s3" : "disk"),
  };
}

/** Whether the data folder holds anything: then one instance owns it. */
export function usesDataDir({ database, files }: Adapters): boolean {
  return database === "sqlite" || files === "disk";
}

/** Everything that doesn't fit together, each with the way out. */
export function shapeProblems(settings: ShapeSettings): { name: keyof ShapeSettings; problem: string }[] {
  const { database, files } = adaptersOf(settings);
  const problems: { name: keyof ShapeSettings; problem: string }[] = [];
  const add = (name: keyof ShapeSettings, problem: string) => problems.push({ name, problem });
  if (database === "sqlite" && settings.replicas > 1) {
    add(
      "replicas",
      "must be 1 with SQLite; for more, take STATEHOUSE_MODE=aurora (`statehouse transfer` moves the data)",
    );
  }
  if (database === "postgres" && settings.databaseUrl === null) {
    add(
      "databaseUrl",
      "is needed for Postgres: postgres://user:password@host:5432/statehouse?sslmode=verify-full",
    );
  }
  if (files === "s3" && settings.s3Bucket === null) {
    add("s3Bucket", "is needed for S3: the name of a bucket that exists");
  }
  if (files === "disk" && settings.replicas > 1) {
    add("files", "must be s3 with more than one replica: they don't share a disk");
  }
  if (database === "postgres") {
    // Each replica has a folder of its own, or none: what is generated there would differ or be lost.
    const why = "is needed with Postgres, the same for every replica";
    if (settings.encryptionKey === null)
      add("encryptionKey", `${why}: 64 hex digits, such as from \`openssl rand -hex 32\``);
    if (settings.adminToken === null) add("adminToken", `${why}: such as from \`openssl rand -hex 32\``);
  }
  return problems;
}
