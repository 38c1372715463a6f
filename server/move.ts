/** `statehouse transfer`: opens both sides, and holds them while the data goes from one to the other. */
import { mkdir, stat } from "node:fs/promises";
import pino from "pino";
import { findInstance } from "../db-adapters/sqlite/inspect.ts";
import { acquireInstance } from "../db-adapters/sqlite/instance-guard.ts";
import { dataDirPaths } from "./config/data-dir.ts";
import type { Config } from "./config/schema.ts";
import { createSecretFile, findSecretFile } from "./config/secret-files.ts";
import { usesDataDir } from "./config/shape.ts";
import { findAdminToken, findEncryptionKey } from "./config/stored-secrets.ts";
import { directUrl } from "./config/urls.ts";
import { withLocalServer } from "./engine.ts";
import { filesOptions, openDatabaseOf, openFilesOf, prepareSecrets } from "./storage.ts";
import { TransferError } from "./transfer/errors.ts";
import { type TransferOptions, type TransferReport, transfer } from "./transfer/run.ts";
import { Source } from "./transfer/source.ts";
import type { TargetPlace } from "./transfer/target.ts";

/** Where the data is: settings that reach it, or a server that has it. */
export type Origin =
  | { readonly kind: "config"; readonly config: Config }
  | { readonly kind: "server"; readonly url: string; readonly token: string };

const TAKE_FOLDER_MS = 5_000;
const LOOK_MS = 3_000;

export async function moveData(
  from: Origin,
  to: Config,
  options: Omit<TransferOptions, "nowMs">,
): Promise<TransferReport> {
  if (from.kind === "config") requireTwoPlaces(from.config, to);
  return withSource(from, async (source) => {
    if (from.kind === "config") await giveKey(from.config, to);
    const keys = from.kind === "config" ? await keysOf(from.config) : [];
    return withTarget(to, keys, (target) => transfer(source, target, { ...options, nowMs: Date.now }));
  });
}

/** Lets the source take writes again: after a transfer that was given up, or to go back. */
export async function reopenSource(from: Origin): Promise<void> {
  await withSource(from, async (source) => void (await source.setServing({ mode: "open", message: "" })));
}

function requireTwoPlaces(from: Config, to: Config): void {
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  const places = (config: Config) => (config.database === "sqlite" ? config.dataDir : config.databaseUrl);
  const isSameDatabase = from.database === to.database && places(from) === places(to);
  // The source's sweep would take what only the target's rows name.
  if (!isSameDatabase && !same(filesOptions(from), filesOptions(to))) return;
  throw new TransferError(
    "target_not_empty",
    "Source and target are the same place, or share their files. Give the target a folder, a database and a " +
      "bucket or prefix of its own.",
  );
}

async function withSource<T>(from: Origin, run: (source: Source) => Promise<T>): Promise<T> {
  if (from.kind === "server") return run(new Source(from.url, from.token));
  const { config } = from;
  if (config.database === "sqlite" && !(await isFile(dataDirPaths(config.dataDir).database))) {
    throw new TransferError("source_gone", `${config.dataDir} holds no Statehouse data.`);
  }
  const token = await findAdminToken(config);
  if (token === null) {
    throw new TransferError(
      "source_gone",
      "There is no admin token of the source: set STATEHOUSE_ADMIN_TOKEN in its file.",
    );
  }
  if (usesDataDir(config) && findInstance(config.dataDir) !== null)
    return run(new Source(await runningServer(config, token), token));
  return withLocalServer(config, (baseUrl) => run(new Source(baseUrl, token)));
}

/** The server that holds the folder, proven by its owner record: another one may answer at its address. */
async function runningServer(config: Config, token: string): Promise<string> {
  const owner = findInstance(config.dataDir);
  for (const url of [directUrl(config), config.publicUrl]) {
    if (url === null) continue;
    try {
      const response = await fetch(`${url}/api/admin/v1/status`, {
        headers: { authorization: `token ${token}` },
        redirect: "manual",
        signal: AbortSignal.timeout(LOOK_MS),
      });
      const status = (await response.json()) as { owner?: Record<string, string> | null };
      if (response.ok && owner !== null && status.owner?.fence === String(owner.fence)) return url;
    } catch {
      // Nobody, or something else: the next address.
    }
  }
  throw new TransferError(
    "source_gone",
    `${config.dataDir} is in use by process ${owner?.pid} on ${owner?.host}, which does not answer at the ` +
      "address that the settings give. Name it with --from-url (and --from-token).",
  );
}

/** A fresh folder that has no key yet gets the source's: a new one could read nothing. */
async function giveKey(from: Config, to: Config): Promise<void> {
  if (!usesDataDir(to) || to.encryptionKey !== null) return;
  const { encryptionKey, database } = dataDirPaths(to.dataDir);
  if ((await findSecretFile(encryptionKey)) !== null || (await isFile(database))) return;
  const key = await findEncryptionKey(from);
  if (key === null) return;
  await mkdir(to.dataDir, { recursive: true, mode: 0o700 });
  await createSecretFile(encryptionKey, Buffer.from(key).toString("hex"));
}

/** All that the source's settings and folder give. */
async function keysOf(config: Config): Promise<Uint8Array[]> {
  const current = await findEncryptionKey(config);
  const previous = config.previousEncryptionKeys.map((hex) => Buffer.from(hex, "hex"));
  return [...(current === null ? [] : [current]), ...previous];
}

async function withTarget<T>(
  config: Config,
  otherKeys: readonly Uint8Array[],
  run: (target: TargetPlace) => Promise<T>,
): Promise<T> {
  const closers: (() => Promise<void>)[] = [];
  try {
    const prepared = await prepareSecrets(config);
    const instance = usesDataDir(config)
      ? await acquireInstance({
          dir: config.dataDir,
          signal: AbortSignal.timeout(TAKE_FOLDER_MS),
        })
      : null;
    if (instance !== null) closers.push(() => instance.release());
    const log = pino({ level: "silent" });
    const db = await openDatabaseOf(config, { fence: instance?.fence ?? null, log });
    closers.push(() => db.close());
    const blobs = await openFilesOf(config);
    closers.push(() => blobs.close());
    const lock = await db.tryCronLock("transfer");
    if (lock === null)
      throw new TransferError("target_not_empty", "Another transfer to the same target is under way.");
    closers.push(() => lock.release());
    return await run({ db, blobs, ownKeys: [prepared.encryptionKey, ...prepared.previousKeys], otherKeys });
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
