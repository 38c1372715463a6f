import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { parseEnv } from "node:util";
import type { Command } from "commander";
import { type Environment, readConfig } from "../../config/read.ts";
import type { Progress, TransferReport } from "../../transfer/run.ts";
import type { CommandLineDeps, TransferOrigin } from "../deps.ts";
import { UsageError } from "../failure.ts";
import { duration, examples, jsonOption } from "../options.ts";

import { alignRows } from "../table.ts";
import { TransferProgress } from "../transfer-progress.ts";

interface TransferCommandOptions {
  readonly from?: string;
  readonly fromUrl?: string;
  readonly fromToken?: string;
  readonly to?: string;
  readonly newUrl?: string;
  readonly wait?: number | true;
  readonly reopen: boolean;
  readonly json: boolean;
}

const WAIT_SECONDS = 3_600;

export function addTransfer(program: Command, deps: CommandLineDeps): void {
  jsonOption(program.command("transfer"))
    .summary("move everything to another database and file store")
    .description(
      "Move everything from one place to another: SQLite and disk, Postgres and S3, either way. Most is\n" +
        "copied while the source serves; then it takes no writes for a moment, everything is verified, and\n" +
        "the source says from then on that it was moved. Run it again after an interruption: it goes on.",
    )
    .option("--from <place>", "the source: a data folder, a file with its STATEHOUSE_… settings, or env")
    .option("--from-url <url>", "the source as a running server's address")
    .option("--from-token <token>", "admin token of that server")
    .option("--to <place>", "the target: a data folder, a file with its settings, or env; empty")
    .option("--new-url <url>", "where clients of the source are sent from then on")
    .option("--wait [time]", "wait for running updates, such as 30m (1h); refused otherwise", duration)
    .option("--reopen", "instead: let a source take writes again that was closed or moved", false)
    .addHelpText(
      "after",
      examples("transfer --from data --to aurora.env --wait", "transfer --from aurora.env --to /data"),
    )
    .action(async (options: TransferCommandOptions) => {
      const from = originOf(deps, options);
      if (options.reopen) {
        await deps.reopenSource(from.origin);
        deps.stdout.write("The source takes writes again.\n");
        return;
      }
      if (options.to === undefined) throw new UsageError("Say where to, with --to.");
      if (options.newUrl !== undefined && !/^https?:\/\/\S+$/.test(options.newUrl))
        throw new UsageError("--new-url is an http:// or https:// URL.");
      const to = environmentOf(deps, options.to);
      const display = new TransferProgress(deps.stderr);
      const report = await deps
        .transfer({
          from: from.origin,
          to: readConfig(to),
          awsEnvironment: awsOf(from.env, to),
          newUrl: options.newUrl ?? null,
          waitMs:
            options.wait === undefined ? null : (options.wait === true ? WAIT_SECONDS : options.wait) * 1000,
          onProgress: (progress: Progress) => display.show(progress),
        })
        .finally(() => display.end());
      deps.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : formatReport(report));
    });
}

function originOf(
  deps: CommandLineDeps,
  { from, fromUrl, fromToken }: TransferCommandOptions,
): { origin: TransferOrigin; env: Environment } {
  if ((from === undefined) === (fromUrl === undefined))
    throw new UsageError("Say from where: either --from or --from-url.");
  if (fromUrl !== undefined) {
    const token = fromToken ?? deps.env.STATEHOUSE_ADMIN_TOKEN ?? "";
    if (token === "") throw new UsageError("--from-url takes --from-token, or STATEHOUSE_ADMIN_TOKEN.");
    return { origin: { kind: "server", url: fromUrl, token }, env: {} };
  }
  const env = environmentOf(deps, from ?? "");
  return { origin: { kind: "config", config: readConfig(env) }, env };
}

/** `env` is what the command itself was started with; a file is read as settings; anything else is a folder. */
function environmentOf(deps: CommandLineDeps, place: string): Environment {
  if (place === "env") return deps.env;
  const path = resolve(deps.cwd, place);
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return { STATEHOUSE_DATA_DIR: path };
  return parseEnv(readFileSync(path, "utf8"));
}

/** The AWS credentials of both sides; they can't differ, since the process has one environment. */
function awsOf(from: Environment, to: Environment): Record<string, string> {
  const merged: Record<string, string> = {};
  for (const env of [from, to])
    for (const [name, value] of Object.entries(env)) {
      if (!name.startsWith("AWS_") || value === undefined || value === "") continue;
      if ((merged[name] ?? value) !== value)
        throw new UsageError(`Both sides set ${name}, and differ. Reach the source with --from-url instead.`);
      merged[name] = value;
    }
  return merged;
}

function formatReport(report: TransferReport): string {
  if (report.outcome === "was_moved") return "The transfer was finished already; the target is ready.\n";
  const { verification, blobs, copiedBlobs } = report;
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  const rows = verification === null ? [] : Object.entries(verification.rows);
  const facts = [
    [
      "  rows",
      `${rows.reduce((sum, [, count]) => sum + count, 0)} in ${rows.length} tables, equal on both sides`,
    ],
    ["  blobs", `${blobs.blobs}, ${blobs.bytes} bytes (${copiedBlobs.blobs} copied in this run)`],
    ["  versions", `${verification?.versions ?? 0} opened, each with the SHA-256 of its row`],
    ["  stack keys", `${verification?.stacks ?? 0} proven by decryption`],
    ["  artifacts", `${verification?.artifacts ?? 0} read, each with the SHA-256 of its row`],
    ["  without writes", seconds(report.readOnlyMs)],
    ["  all in all", seconds(report.totalMs)],
  ];
  const head = report.isResumed ? "Moved, going on from an earlier run:\n" : "Moved:\n";
  return `${head}${alignRows(facts)}The source takes no more writes. Start the server on the target.\n`;
}
