/** Both shapes, each with a key and a token of ours, and transfers between them. */
import { readConfig } from "../../server/config/read.ts";
import type { Config } from "../../server/config/schema.ts";
import { moveData } from "../../server/move.ts";
import type { Progress, TransferReport } from "../../server/transfer/run.ts";
import { makeEmptyDatabase } from "../support/postgres.ts";
import { newPrefix, type TestS3 } from "../support/s3.ts";
import { ADMIN_TOKEN, makeTempDir } from "../support/server.ts";

export const KEY = "5a".repeat(32);
export const OTHER_KEY = "a5".repeat(32);
export const THIRD_KEY = "77".repeat(32);

export type Env = Readonly<Record<string, string>>;

const COMMON: Env = {
  STATEHOUSE_PORT: "0",
  STATEHOUSE_ADMIN_TOKEN: ADMIN_TOKEN,
  STATEHOUSE_ENCRYPTION_KEY: KEY,
};

export async function sqliteEnv(): Promise<Env> {
  return { ...COMMON, STATEHOUSE_DATA_DIR: await makeTempDir() };
}

export async function postgresEnv(s3: TestS3): Promise<Env> {
  return {
    ...COMMON,
    STATEHOUSE_MODE: "aurora",
    STATEHOUSE_DATA_DIR: "/nowhere",
    STATEHOUSE_DATABASE_URL: await makeEmptyDatabase(),
    ...withoutAws(s3.env),
    STATEHOUSE_S3_FORCE_PATH_STYLE: "true",
    STATEHOUSE_S3_PREFIX: newPrefix(),
  };
}

/** The SDK reads its credentials from the process. */
export function useCredentials(s3: TestS3): void {
  for (const [name, value] of Object.entries(s3.env)) if (name.startsWith("AWS_")) process.env[name] = value;
}

function withoutAws(env: Env): Env {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("AWS_")));
}

export interface MoveOptions {
  readonly waitMs?: number;
  readonly newUrl?: string;
  readonly fromUrl?: string;
  readonly onProgress?: (progress: Progress) => void;
}

export function configOf(env: Env): Config {
  return readConfig(env);
}

export function move(from: Env, to: Env, options: MoveOptions = {}): Promise<TransferReport> {
  const { fromUrl } = options;
  return moveData(
    fromUrl === undefined
      ? { kind: "config", config: configOf(from) }
      : { kind: "server", url: fromUrl, token: ADMIN_TOKEN },
    configOf(to),
    {
      waitMs: options.waitMs ?? null,
      newUrl: options.newUrl ?? null,
      onProgress: options.onProgress ?? (() => undefined),
    },
  );
}
