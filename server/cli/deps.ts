import type { Environment } from "../config/read.ts";
import type { Config } from "../config/schema.ts";
import type { DoctorProbes, InstanceOwner } from "../doctor/probes.ts";
import type { Progress, TransferReport } from "../transfer/run.ts";

/** Where a command writes to; `process.stdout` and `process.stderr` are such. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

/** Where data to be moved is: settings that reach it, or a server that has it. */
export type TransferOrigin =
  | { readonly kind: "config"; readonly config: Config }
  | { readonly kind: "server"; readonly url: string; readonly token: string };

export interface TransferInput {
  readonly from: TransferOrigin;
  readonly to: Config;
  /** Credentials for the AWS SDK, which reads them from the process's environment. */
  readonly awsEnvironment: Readonly<Record<string, string>>;
  readonly newUrl: string | null;
  readonly waitMs: number | null;
  readonly onProgress: (progress: Progress) => void;
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
  transfer(input: TransferInput): Promise<TransferReport>;
  /** Lets a source take writes again. */
  reopenSource(from: TransferOrigin): Promise<void>;
  doctorProbes(config: Config): DoctorProbes;
}
