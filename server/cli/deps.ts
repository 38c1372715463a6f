import type { Environment } from "../config/read.ts";
import type { Config } from "../config/schema.ts";
import type { DoctorProbes, InstanceOwner } from "../doctor/probes.ts";

/** Where a command writes to; `process.stdout` and `process.stderr` are such. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** What the commands need of the world; `main.ts` gives the real things. */
export interface CommandLineDeps {
  /** The process's environment; `.env` is read here, from `cwd`. */
  readonly env: Environment;
  readonly cwd: string;
  readonly version: string;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Runs the server; settles when it has stopped. */
  serve(config: Config): Promise<void>;
  /** Brings the database to this program's schema; returns a sentence about what was done. */
  migrate(config: Config): Promise<string>;
  /** The server on a free loopback port for as long as `fn` runs, over the same data folder. */
  withLocalServer<T>(config: Config, fn: (baseUrl: string) => Promise<T>): Promise<T>;
  /** The live process that holds the data folder; null when nobody does. */
  findOwner(config: Config): Promise<InstanceOwner | null>;
  doctorProbes(config: Config): DoctorProbes;
}
