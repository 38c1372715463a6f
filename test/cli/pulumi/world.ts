/** A server and a terminal that is signed in to it, for all tests of one `describe`. */
import pino from "pino";
import { afterAll, beforeAll } from "vitest";
import { readConfig } from "../../../server/config/read.ts";
import { type RunningServer, startServer } from "../../../server/start.ts";
import { ADMIN_TOKEN } from "../../support/server.ts";
import { type Env, Terminal } from "./terminal.ts";

export interface World {
  readonly url: string;
  readonly server: RunningServer;
  readonly terminal: Terminal;
  /** What the server logged, a line each. */
  readonly logLines: readonly string[];
  /** Moves the server's clock. */
  advance(ms: number): void;
}

/** `env` is the server's. The world is there once the tests run, not while they are being collected. */
export function useWorld(env: Env = {}): () => World {
  let world: World | null = null;
  beforeAll(async () => {
    world = await openWorld(env);
  });
  afterAll(async () => {
    await world?.server.stop();
    await world?.terminal.close();
  });
  return () => {
    if (world === null) throw new Error("the world is not there yet");
    return world;
  };
}

async function openWorld(env: Env): Promise<World> {
  const terminal = await Terminal.open({ PULUMI_ACCESS_TOKEN: ADMIN_TOKEN });
  const logLines: string[] = [];
  let aheadMs = 0;
  const server = await startServer({
    config: readConfig({
      STATEHOUSE_PORT: "0",
      STATEHOUSE_DATA_DIR: `${terminal.home}/server`,
      STATEHOUSE_ADMIN_TOKEN: ADMIN_TOKEN,
      ...env,
    }),
    log: pino({ level: "debug" }, { write: (line: string) => void logLines.push(line) }),
    isCronOn: false,
    nowMs: () => Date.now() + aheadMs,
  });
  const url = `http://127.0.0.1:${server.port}`;
  await terminal.login(url);
  const advance = (ms: number) => {
    aheadMs += ms;
  };
  return { url, server, terminal, logLines, advance };
}
