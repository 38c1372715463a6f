/** Which server a command talks to, and with which token. */
import { stat } from "node:fs/promises";
import { dataDirPaths } from "../config/data-dir.ts";
import { type Environment, readConfig, withDotEnv } from "../config/read.ts";
import type { Config } from "../config/schema.ts";
import { findAdminToken } from "../config/stored-secrets.ts";
import { directUrl, shownUrl } from "../config/urls.ts";
import { describeOwner } from "../doctor/probes.ts";
import { AdminApi } from "./admin-api.ts";
import type { CommandLineDeps } from "./deps.ts";
import { CommandFailure, UsageError } from "./failure.ts";

const LOOK_MS_MAX = 3_000;

/** The options that every command with a server has. */
export interface ServerOptions {
  readonly url?: string;
  readonly token?: string;
}

export function loadConfig(deps: CommandLineDeps): { config: Config; env: Environment } {
  const env = withDotEnv(deps.env, deps.cwd);
  return { config: readConfig(env), env };
}

/**
 * Runs `run` against the server: the one that was named, else the one that the settings lead to, else the
 * same application in this process, over the data folder. Which it is, is settled before the first request,
 * so that nothing is ever done half here and half there.
 */
export async function withAdminApi<T>(
  deps: CommandLineDeps,
  options: ServerOptions,
  run: (api: AdminApi, config: Config) => Promise<T>,
): Promise<T> {
  const { config, env } = loadConfig(deps);
  const named = options.url ?? nonEmpty(env.STATEHOUSE_URL);
  if (named !== undefined) {
    const baseUrl = checkedUrl(named);
    return await run(await connect(config, options, baseUrl, baseUrl), config);
  }
  const candidates = [config.publicUrl, directUrl(config)].filter((url) => url !== null);
  // The CLI keeps its sign-ins by address, so people are always told the one address of the first start.
  const shown = shownUrl(config, config.port);
  for (const baseUrl of candidates) {
    if (await isAlive(baseUrl)) return await run(await connect(config, options, baseUrl, shown), config);
  }
  await requireFreeDataDir(deps, config, candidates);
  deps.stderr.write(`No server is running: working on ${config.dataDir} directly.\n`);
  return await deps.withLocalServer(config, async (baseUrl) => {
    return await run(await connect(config, options, baseUrl, shown), config);
  });
}

/** True when a server in good health answers; whatever else is there doesn't count. */
export async function isAlive(baseUrl: string): Promise<boolean> {
  try {
    const response = await fetch(`${baseUrl}/livez`, { signal: AbortSignal.timeout(LOOK_MS_MAX) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

async function connect(
  config: Config,
  options: ServerOptions,
  baseUrl: string,
  shown: string,
): Promise<AdminApi> {
  const token = options.token ?? (await findAdminToken(config));
  if (token !== null) return new AdminApi({ baseUrl, shownUrl: shown, token });
  throw new CommandFailure(
    `There is no admin token for ${shown}. Set STATEHOUSE_ADMIN_TOKEN, or run this where the server's ` +
      `data folder is (looked for ${dataDirPaths(config.dataDir).adminToken}).`,
  );
}

async function requireFreeDataDir(
  deps: CommandLineDeps,
  config: Config,
  tried: readonly string[],
): Promise<void> {
  const looked =
    tried.length === 0 ? "No server address is known" : `No server answers at ${tried.join(" or ")}`;
  if (!(await hasDatabase(config))) {
    throw new CommandFailure(
      `${looked}, and ${config.dataDir} holds no Statehouse data. ` +
        "Start the server with statehouse serve, or give its address with --url.",
    );
  }
  const owner = await deps.findOwner(config);
  if (owner === null) return;
  throw new CommandFailure(
    `${looked}, but ${config.dataDir} is in use by ${describeOwner(owner)}. Give that server's address with --url.`,
  );
}

async function hasDatabase(config: Config): Promise<boolean> {
  try {
    return (await stat(dataDirPaths(config.dataDir).database)).isFile();
  } catch {
    return false;
  }
}

function checkedUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !["http:", "https:"].includes(url.protocol)) {
    throw new UsageError(`The server's address must be an http:// or https:// URL, not "${text}".`);
  }
  return text.replace(/\/+$/, "");
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
