/** `statehouse serve`: runs until it is told to stop, and says what a person needs to know on the way. */
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import type { Owner } from "../db-adapters/sqlite/instance-guard.ts";
import { dataDirPaths } from "./config/data-dir.ts";
import type { Config } from "./config/schema.ts";
import { shownUrl } from "./config/urls.ts";
import { firstRunText, laterRunText } from "./config/welcome.ts";
import { createLogger } from "./logger.ts";
import { type RunningServer, startServer } from "./start.ts";

/** Past this a shutdown is forced: orchestrators kill after 30 s, and that would look like a crash. */
const FORCE_AFTER_SECONDS = 25;

export async function serve(config: Config): Promise<void> {
  const { log, flush } = await createLogger(config);
  // A newcomer reads what to type next, and no log lines around it; warnings do show.
  if (isFirstRun(config) && config.logLevel === "info") log.level = "warn";
  const stopping = new AbortController();
  const { promise: stopped, resolve: stop } = Promise.withResolvers<string>();
  const onSignal = (signal: NodeJS.Signals) => {
    stop(signal);
    stopping.abort();
    setTimeout(() => exitNow(flush), FORCE_AFTER_SECONDS * 1000).unref();
  };
  process.once("SIGTERM", onSignal);
  process.once("SIGINT", onSignal);
  try {
    const server = await startServer({
      config,
      log,
      signal: stopping.signal,
      onWait: (owner) => process.stderr.write(waitText(config, owner)),
      // Another instance writes to the folder now: not one more byte may come from here.
      onLost: () => exitNow(flush),
    });
    process.stdout.write(readyText(config, server));
    log.info({ port: server.port }, "listening");
    log.level = config.logLevel;
    const reason = await stopped;
    log.info({ reason }, "stopping");
    await server.stop();
    log.info("stopped");
  } catch (error) {
    // Told to stop while another instance still had the folder: nothing was opened that would need closing.
    if (!stopping.signal.aborted || !(error instanceof Error) || error.name !== "AbortError") throw error;
    log.info("stopped while waiting for the data folder");
  } finally {
    flush();
  }
}

function isFirstRun({ database, dataDir }: Config): boolean {
  return database === "sqlite" && !existsSync(dataDirPaths(dataDir).database);
}

function exitNow(flush: () => void): never {
  flush();
  process.exit(1);
}

/**
 * The container whose files a person reads from outside: Docker and Podman leave a mark, and name the host after it.
 * Whoever types `npm start` is inside already, as in a development container.
 */
export function containerName(env: NodeJS.ProcessEnv, exists: (path: string) => boolean): string | null {
  if (env.npm_lifecycle_event !== undefined) return null;
  return exists("/.dockerenv") || exists("/run/.containerenv") ? hostname() : null;
}

function waitText(config: Config, owner: Owner): string {
  const since = new Date(owner.startedMs).toISOString();
  return `Waiting: ${config.dataDir} is in use by process ${owner.pid} on ${owner.host} since ${since}.\n`;
}

function readyText(config: Config, { prepared, port }: RunningServer): string {
  const url = shownUrl(config, port);
  const cwd = process.cwd();
  const { created, sources } = prepared;
  if (!created.adminToken && !created.encryptionKey && !created.dataDir) {
    return laterRunText({ url, dataDir: config.dataDir, cwd });
  }
  return firstRunText({ url, cwd, container: containerName(process.env, existsSync), ...sources });
}
