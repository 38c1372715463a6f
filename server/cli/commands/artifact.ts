import { globSync, statSync } from "node:fs";
import { basename, relative, resolve, sep } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { withDotEnv } from "../../config/read.ts";
import {
  type Access,
  ArtifactFailure,
  accessOf,
  call,
  EXIT_NOT_FOUND,
  withRetries,
} from "../artifact-api.ts";
import { createProgress } from "../artifact-progress.ts";
import { type ArtifactItem, getFile, listItems, pathBelow } from "../artifact-transfer.ts";
import { putFile } from "../artifact-upload.ts";
import type { CommandLineDeps } from "../deps.ts";
import { UsageError } from "../failure.ts";
import { examples, jsonOption } from "../options.ts";
import { columns, plainText, printList } from "../table.ts";

interface Common {
  readonly url?: string;
  readonly token?: string;
  readonly retries: number;
  readonly org?: string;
  readonly stack?: string;
  readonly update?: string;
  readonly commit?: string;
}

const COLUMNS = columns("Id", "Name", "Version", "Kind", "Size", "Stack", "Pinned", "Created:createdAt");

export function addArtifact(program: Command, deps: CommandLineDeps, exitWith: (code: number) => void): void {
  const artifact = program
    .command("artifact")
    .description("Files of a stack, an update or a commit: plans, logs, SBOMs")
    .addHelpText(
      "after",
      "\nExit codes: 0 done, 1 failed, 2 usage, 3 nothing there, 4 refused, 5 not reachable.",
    );

  /** Runs a command with access to the server; failures of the API have exit codes of their own. */
  const run = async (options: Common, work: (access: Access, org: string) => Promise<void>) => {
    try {
      const env = withDotEnv(deps.env, deps.cwd);
      const access = accessOf(env, options);
      await work(access, encodeURIComponent(options.org ?? (await defaultOrg(access))));
    } catch (error) {
      if (!(error instanceof ArtifactFailure)) throw error;
      deps.stderr.write(`statehouse: ${plainText(error.message)}\n`);
      exitWith(error.exitCode);
    }
  };

  jsonOption(common(artifact.command("put <files...>")))
    .description("Upload files; patterns such as 'out/**/*.json' are expanded here")
    .option("--name <name>", "name on the server, for a single file")
    .option("--kind <kind>", "plan, program, sbom, log, screenshot or other", "other")
    .option("--label <name=value...>", "labels")
    .option("--content-type <type>", "type (default: by the name's ending)")
    .option("--pin", "keep it whatever retention says", false)
    .addHelpText("after", examples("artifact put plan.json --stack web/prod --kind plan"))
    .action(async (patterns: string[], options: PutCommand) => {
      await run(options, (access, org) => put(deps, access, org, patterns, options));
    });

  common(artifact.command("get [patterns...]"))
    .description("Download the newest version of what fits the names, or by --id")
    .option("--id <id>", "exactly this artifact")
    .option("--output <folder>", "where to", ".")
    .addHelpText("after", examples("artifact get 'reports/*.json' --commit $GITHUB_SHA --output reports"))
    .action(async (patterns: string[], options: Common & { id?: string; output: string }) => {
      await run(options, (access, org) => get(deps, access, org, patterns, options));
    });

  jsonOption(common(artifact.command("list [patterns...]")))
    .description("List artifacts, newest first")
    .addHelpText("after", examples("artifact list --stack web/prod"))
    .action(async (patterns: string[], options: Common & { json: boolean }) => {
      await run(options, async (access, org) => {
        const items = await find(access, org, patterns, options);
        const none = "There are no artifacts like that.";
        printList(deps, { items, truncated: false }, { columns: COLUMNS, json: options.json, none });
      });
    });

  common(artifact.command("rm <ids...>"))
    .description("Delete artifacts; ids are in artifact list")
    .addHelpText("after", examples("artifact rm 019aa5f2c1d4"))
    .action(async (ids: string[], options: Common) => {
      await run(options, (access, org) =>
        each(ids, async (id) => {
          await send(access, `/api/artifacts/${org}/items/${encodeURIComponent(id)}`, { method: "DELETE" });
          deps.stdout.write(`Deleted ${plainText(id)}.\n`);
        }),
      );
    });

  common(artifact.command("pin <ids...>"))
    .description("Keep artifacts whatever retention says; --off lets go of them")
    .option("--off", "unpin", false)
    .addHelpText("after", examples("artifact pin 019aa5f2c1d4"))
    .action(async (ids: string[], options: Common & { off: boolean }) => {
      await run(options, (access, org) =>
        each(ids, async (id) => {
          await send(access, `/api/artifacts/${org}/items/${encodeURIComponent(id)}`, {
            method: "PATCH",
            body: JSON.stringify({ pinned: !options.off }),
            headers: { "content-type": "application/json" },
          });
          deps.stdout.write(`${options.off ? "Unpinned" : "Pinned"} ${plainText(id)}.\n`);
        }),
      );
    });
}

function common(command: Command): Command {
  return command
    .option("--url <url>", "the server (default: STATEHOUSE_URL, PULUMI_BACKEND_URL, or pulumi login's)")
    .option("--token <token>", "token (default: PULUMI_ACCESS_TOKEN, or pulumi login's)")
    .option("--org <organization>", "organization (default: the token's)")
    .option("--stack <project/stack>", "the stack it belongs to")
    .option("--update <id>", "the update it belongs to")
    .option("--commit <sha>", "the commit it belongs to")
    .option("--retries <count>", "how often to try again what may pass", count, 5);
}

function count(text: string): number {
  if (/^[0-9]{1,3}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Give a whole number up to 999.");
}

async function each(ids: readonly string[], work: (id: string) => Promise<void>): Promise<void> {
  for (const id of ids) await work(id);
}

function send(access: Access, path: string, init: RequestInit): Promise<Response> {
  return withRetries(
    access,
    () => undefined,
    () => call(access, path, init),
  );
}

async function defaultOrg(access: Access): Promise<string> {
  const response = await send(access, "/api/user/organizations/default", {});
  const { gitHubLogin } = (await response.json()) as { gitHubLogin?: unknown };
  if (typeof gitHubLogin === "string" && gitHubLogin !== "") return gitHubLogin;
  throw new UsageError("Which organization? Give --org.");
}

function placeOf({ stack, update, commit }: Common): URLSearchParams {
  const place = new URLSearchParams();
  if (stack !== undefined) {
    const [project = "", name = "", ...more] = stack.split("/");
    if (name === "" || more.length > 0) throw new UsageError("--stack is project/stack, such as web/prod.");
    place.set("project", project);
    place.set("stack", name);
  }
  if (update !== undefined) place.set("update", update);
  if (commit !== undefined) place.set("commit", commit);
  return place;
}

type PutCommand = Common & {
  readonly name?: string;
  readonly kind: string;
  readonly label?: string[];
  readonly contentType?: string;
  readonly pin: boolean;
  readonly json: boolean;
};

async function put(
  deps: CommandLineDeps,
  access: Access,
  org: string,
  patterns: readonly string[],
  options: PutCommand,
): Promise<void> {
  const place = placeOf(options);
  const files = filesOf(deps.cwd, patterns);
  if (files.length === 0) throw new ArtifactFailure(`No file fits ${patterns.join(" ")}.`, EXIT_NOT_FOUND);
  if (options.name !== undefined && files.length > 1) throw new UsageError("--name goes with a single file.");
  const labels = labelsOf(options.label ?? []);
  const progress = createProgress(deps.stderr);
  const contentType = options.contentType === undefined ? {} : { contentType: options.contentType };
  const items: ArtifactItem[] = [];
  for (const file of files) {
    const named = { path: file.path, name: options.name ?? file.name };
    const how = { org, place, kind: options.kind, labels, pinned: options.pin, ...contentType };
    const { item, isNew } = await putFile(access, named, how, progress);
    items.push(item);
    const note = isNew ? "" : "  (was there)";
    if (!options.json) deps.stdout.write(`${item.id}  ${plainText(item.name)}  ${item.size} bytes${note}\n`);
  }
  if (options.json) deps.stdout.write(`${JSON.stringify(items, null, 2)}\n`);
}

function labelsOf(given: readonly string[]): Record<string, string> {
  const pairs = given.map((label) => {
    const at = label.indexOf("=");
    if (at < 1) throw new UsageError(`--label is name=value, not ${label}.`);
    return [label.slice(0, at), label.slice(at + 1)] as const;
  });
  return Object.fromEntries(pairs);
}

/** Files below the folder keep their path as their name; others their last part. */
function filesOf(cwd: string, patterns: readonly string[]): { path: string; name: string }[] {
  const paths = patterns.flatMap((pattern) => {
    const literal = resolve(cwd, pattern);
    if (statSync(literal, { throwIfNoEntry: false })?.isFile() === true) return [literal];
    return globSync(pattern, { cwd })
      .map((it) => resolve(cwd, it))
      .filter((it) => statSync(it).isFile());
  });
  return [...new Set(paths)].sort().map((path) => {
    const below = relative(cwd, path);
    const name = below.startsWith("..") || below === path ? basename(path) : below.split(sep).join("/");
    return { path, name };
  });
}

/** The newest version of each name at the place that fits a pattern; all of them without patterns. */
async function find(
  access: Access,
  org: string,
  patterns: readonly string[],
  options: Common,
): Promise<ArtifactItem[]> {
  const items = await listItems(access, org, placeOf(options));
  if (patterns.length === 0) return items;
  const fits = patterns.map(patternOf);
  return items.filter(({ name }) => fits.some((it) => it.test(name)));
}

/** `*` and `?` within a part of a name, `**` across parts. */
function patternOf(glob: string): RegExp {
  const source = glob.replace(/\*\*\/?|\*|\?|[^*?]+/g, (part) => {
    if (part === "**/") return "(?:.*/)?";
    if (part === "**") return ".*";
    if (part === "*") return "[^/]*";
    return part === "?" ? "[^/]" : RegExp.escape(part);
  });
  return new RegExp(`^${source}$`, "u");
}

async function get(
  deps: CommandLineDeps,
  access: Access,
  org: string,
  patterns: readonly string[],
  options: Common & { readonly id?: string; readonly output: string },
): Promise<void> {
  if (patterns.length === 0 && options.id === undefined)
    throw new UsageError("Give a name, a pattern or --id.");
  const found = await find(access, org, patterns, options);
  const newest = new Map<string, ArtifactItem>();
  for (const item of found) {
    if (options.id !== undefined && item.id !== options.id) continue;
    if (!newest.has(item.name)) newest.set(item.name, item);
  }
  if (newest.size === 0) throw new ArtifactFailure("There is no artifact like that.", EXIT_NOT_FOUND);
  const folder = resolve(deps.cwd, options.output);
  const progress = createProgress(deps.stderr);
  for (const item of newest.values()) {
    const path = pathBelow(folder, item.name);
    await getFile(access, org, item, path, progress);
    deps.stdout.write(`${plainText(relative(deps.cwd, path) || path)}  ${item.size} bytes\n`);
  }
}
