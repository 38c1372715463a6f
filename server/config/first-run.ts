/**
 * Makes the data folder ready before anything else opens it. The order matters: whether a database exists is
 * looked up before its key is, and the key is durable before it is used. So a database without a key always
 * means that the key was lost, even when another server makes both while we look.
 */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, mkdir, stat } from "node:fs/promises";
import { DataDirError, dataDirPaths } from "./data-dir.ts";
import type { Config } from "./schema.ts";
import { createSecretFile, errorCode, findSecretFile, type SecretFile, syncFolder } from "./secret-files.ts";

/** Where a secret came from. */
export type SecretSource =
  | { readonly kind: "setting"; readonly env: string }
  | { readonly kind: "file"; readonly path: string };

export interface PreparedDataDir {
  /** 32 bytes. */
  readonly encryptionKey: Uint8Array;
  /** 32 bytes each. */
  readonly previousKeys: readonly Uint8Array[];
  readonly adminToken: string;
  readonly created: {
    readonly dataDir: boolean;
    readonly encryptionKey: boolean;
    readonly adminToken: boolean;
  };
  readonly sources: { readonly encryptionKey: SecretSource; readonly adminToken: SecretSource };
  /** Sentences for the log: nothing that stops the server. */
  readonly warnings: readonly string[];
}

interface Secret {
  readonly value: string;
  readonly created: boolean;
  readonly source: SecretSource;
  readonly warnings: readonly string[];
}

/**
 * Creates what is missing: the folder (0700), the encryption key and the admin token (0600), the latter two
 * unless the configuration gives them. Safe to call from many processes at once: all get the same values.
 * @throws DataDirError
 */
export async function prepareDataDir(config: Config): Promise<PreparedDataDir> {
  const { dataDir } = config;
  const createdFolder = await makeFolder(dataDir);
  await requireWritable(dataDir);
  const hasDatabase = await exists(dataDirPaths(dataDir).database);
  const key = await encryptionKey(config, hasDatabase);
  const token = await adminToken(config);
  // A key that another starter has just made may not be durable yet; nothing may be written with it before.
  if (!hasDatabase) await syncFolder(dataDir);
  return {
    encryptionKey: Buffer.from(key.value, "hex"),
    previousKeys: config.previousEncryptionKeys.map((previous) => Buffer.from(previous, "hex")),
    adminToken: token.value,
    created: { dataDir: createdFolder, encryptionKey: key.created, adminToken: token.created },
    sources: { encryptionKey: key.source, adminToken: token.source },
    warnings: [...(await folderWarnings(dataDir)), ...key.warnings, ...token.warnings],
  };
}

async function makeFolder(dataDir: string): Promise<boolean> {
  try {
    const first = await mkdir(dataDir, { recursive: true, mode: 0o700 });
    return first !== undefined;
  } catch (error) {
    const isFile = ["EEXIST", "ENOTDIR"].includes(errorCode(error));
    const words = isFile
      ? { problem: `${dataDir} is not a folder`, advice: "Set STATEHOUSE_DATA_DIR to a folder." }
      : notUsable(`The data folder ${dataDir} can't be created (${errorCode(error)})`);
    throw new DataDirError(isFile ? "not_a_folder" : "not_writable", words, { cause: error });
  }
}

async function requireWritable(dataDir: string): Promise<void> {
  try {
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const words = notUsable(`The data folder ${dataDir} can't be written (${errorCode(error)})`);
    throw new DataDirError("not_writable", words, { cause: error });
  }
}

function notUsable(problem: string): { problem: string; advice: string } {
  const user = process.getuid === undefined ? "the user of the server" : `user id ${process.getuid()}`;
  return {
    problem,
    advice: `Give it to ${user}, for instance with chown, or set STATEHOUSE_DATA_DIR to another folder.`,
  };
}

async function encryptionKey(config: Config, hasDatabase: boolean): Promise<Secret> {
  const path = dataDirPaths(config.dataDir).encryptionKey;
  if (config.encryptionKey !== null) return await keyFromSetting(config.encryptionKey, path);
  if (hasDatabase && (await findSecret(path)) === null) {
    throw new DataDirError("key_missing", {
      problem: `${config.dataDir} holds a database, but its key ${path} is gone`,
      advice:
        "Put the file back from a backup, or set STATEHOUSE_ENCRYPTION_KEY: a new key can't read the data.",
    });
  }
  const secret = await fileSecret(path, () => randomBytes(32).toString("hex"));
  if (/^[0-9a-fA-F]{64}$/.test(secret.value)) return secret;
  throw new DataDirError("key_damaged", {
    problem: `The encryption key in ${path} is damaged: it must be 64 hexadecimal digits`,
    advice: hasDatabase
      ? "Put the file back from a backup, or set STATEHOUSE_ENCRYPTION_KEY."
      : "Nothing is stored yet: delete the file, and a new key is made.",
  });
}

async function keyFromSetting(key: string, path: string): Promise<Secret> {
  const source = { kind: "setting", env: "STATEHOUSE_ENCRYPTION_KEY" } as const;
  const file = await findSecret(path);
  const differs = file !== null && file.value.toLowerCase() !== key.toLowerCase();
  const warnings = differs
    ? [
        `STATEHOUSE_ENCRYPTION_KEY is used; ${path} holds another key. If data was written with that one, ` +
          "name it in STATEHOUSE_PREVIOUS_ENCRYPTION_KEYS.",
      ]
    : [];
  return { value: key, created: false, source, warnings };
}

async function adminToken(config: Config): Promise<Secret> {
  if (config.adminToken !== null) {
    const source = { kind: "setting", env: "STATEHOUSE_ADMIN_TOKEN" } as const;
    return { value: config.adminToken, created: false, source, warnings: [] };
  }
  const path = dataDirPaths(config.dataDir).adminToken;
  const secret = await fileSecret(path, () => `sth_admin_${randomBytes(32).toString("base64url")}`);
  if (/^[\x21-\x7e]{16,512}$/.test(secret.value)) return secret;
  throw new DataDirError("token_damaged", {
    problem: `The admin token in ${path} is damaged: it must be 16 characters or more without blanks`,
    advice: "Delete the file, and a new token is made at the next start, or set STATEHOUSE_ADMIN_TOKEN.",
  });
}

/** The secret in `path`, made if it isn't there. */
async function fileSecret(path: string, make: () => string): Promise<Secret> {
  const source = { kind: "file", path } as const;
  const found = await findSecret(path);
  if (found !== null) return { ...found, created: false, source, warnings: modeWarnings(path, found.mode) };
  const made = make();
  if ((await createSecret(path, made)) === "created") {
    return { value: made, created: true, source, warnings: [] };
  }
  const theirs = await findSecret(path);
  return { value: theirs?.value ?? "", created: false, source, warnings: [] };
}

async function findSecret(path: string): Promise<SecretFile | null> {
  try {
    return await findSecretFile(path);
  } catch (error) {
    const words = notUsable(`${path} can't be read (${errorCode(error)})`);
    throw new DataDirError("not_readable", words, { cause: error });
  }
}

async function createSecret(path: string, value: string): Promise<"created" | "exists"> {
  try {
    return await createSecretFile(path, value);
  } catch (error) {
    const words = notUsable(`${path} can't be created (${errorCode(error)})`);
    throw new DataDirError("not_writable", words, { cause: error });
  }
}

async function folderWarnings(dataDir: string): Promise<string[]> {
  const { mode } = await stat(dataDir);
  return (mode & 0o022) === 0 || process.platform === "win32"
    ? []
    : [`Others on this machine can write to ${dataDir} (mode ${octal(mode)}): chmod 700 ${dataDir}`];
}

function modeWarnings(path: string, mode: number): string[] {
  return (mode & 0o077) === 0 || process.platform === "win32"
    ? []
    : [`Others on this machine can read ${path} (mode ${octal(mode)}): chmod 600 ${path}`];
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, "0");
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw error;
  }
}
