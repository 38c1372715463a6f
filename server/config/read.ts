/** From an environment to a Config, with everything that is wrong said at once. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { ConfigError, type ConfigProblem } from "./config-error.ts";
import { nearest } from "./nearest.ts";
import { type Config, ConfigSchema, SETTINGS, type Setting } from "./schema.ts";
import { readSecret, secretFileVariable } from "./secrets.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Variables that only the command line reads. */
export const COMMAND_LINE_VARIABLES = ["STATEHOUSE_URL"] as const;

const OTEL_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT";

/** Names that Kubernetes sets in every pod when a Service is called `statehouse`. */
const SERVICE_LINK = /^STATEHOUSE_(SERVICE_(HOST|PORT)(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?)$/;

/**
 * Reads all settings. An empty variable counts as not set, which is what compose files make of an absent one.
 * Only secrets given as `…_FILE` touch the disk.
 * @throws ConfigError with every problem at once
 */
export function readConfig(env: Environment): Config {
  const { texts, problems } = settingsFrom(env);
  problems.push(...unknownNames(env));
  const parsed = ConfigSchema.safeParse(texts);
  if (!parsed.success) problems.push(...parsed.error.issues.map((issue) => describeIssue(issue, texts, env)));
  if (parsed.success && problems.length === 0) return parsed.data;
  throw new ConfigError(unique(problems));
}

/**
 * The variables of `.env` in `folder` under those of `env`, which win.
 * @throws ConfigError when the file is there and can't be read
 */
export function withDotEnv(env: Environment, folder: string): Environment {
  const path = join(folder, ".env");
  try {
    return { ...parseEnv(readFileSync(path, "utf8")), ...env };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : null;
    if (code === "ENOENT") return env;
    throw new ConfigError([{ name: path, problem: `can't be read (${String(code ?? error)})` }]);
  }
}

function settingsFrom(env: Environment): { texts: Record<string, string>; problems: ConfigProblem[] } {
  const texts: Record<string, string> = {};
  const problems: ConfigProblem[] = [];
  for (const setting of SETTINGS) {
    const secret = setting.secret ? readSecret(setting, env) : plainValue(setting, env);
    if (secret.kind === "problem") problems.push(secret.problem);
    else if (secret.kind === "value") texts[setting.name] = secret.value.trim();
  }
  return { texts, problems };
}

function plainValue(
  setting: Setting,
  env: Environment,
): { kind: "value"; value: string } | { kind: "unset" } {
  const value = env[setting.env] ?? "";
  if (value !== "" && !isServiceLink(setting.env, value)) return { kind: "value", value };
  const fallback = setting.name === "otlpEndpoint" ? (env[OTEL_ENDPOINT] ?? "") : "";
  return fallback === "" ? { kind: "unset" } : { kind: "value", value: fallback };
}

/** STATEHOUSE_PORT itself is one of Kubernetes' names: `tcp://10.0.0.7:4000` is not meant for us. */
function isServiceLink(name: string, value: string): boolean {
  return name === "STATEHOUSE_PORT" && /^(tcp|udp|sctp):\/\//.test(value);
}

function unknownNames(env: Environment): ConfigProblem[] {
  const known = [
    ...SETTINGS.map((setting) => setting.env),
    ...SETTINGS.filter((setting) => setting.secret).map(secretFileVariable),
    ...COMMAND_LINE_VARIABLES,
  ];
  return Object.keys(env)
    .filter((name) => name.startsWith("STATEHOUSE_") && !known.includes(name) && !SERVICE_LINK.test(name))
    .map((name) => {
      const near = nearest(name, known);
      return {
        name,
        problem: near === null ? "is not a setting" : `is not a setting; did you mean ${near}?`,
      };
    });
}

function describeIssue(
  issue: { readonly path: readonly PropertyKey[]; readonly message: string },
  texts: Readonly<Record<string, string>>,
  env: Environment,
): ConfigProblem {
  const setting = SETTINGS.find(({ name }) => name === issue.path[0]);
  if (setting === undefined)
    return { name: String(issue.path[0] ?? "configuration"), problem: issue.message };
  const given = texts[setting.name];
  // A URL with an @ may hold a password.
  const isShowable = !setting.secret && given !== undefined && !given.includes("@");
  const shown = isShowable ? `, not ${JSON.stringify(given.slice(0, 80))}` : "";
  const isFallback = setting.name === "otlpEndpoint" && (env[setting.env] ?? "") === "";
  return { name: isFallback ? OTEL_ENDPOINT : setting.env, problem: issue.message + shown };
}

/** A list setting with three bad items has one problem, not three. */
function unique(problems: readonly ConfigProblem[]): ConfigProblem[] {
  return [...new Map(problems.map((entry) => [`${entry.name} ${entry.problem}`, entry])).values()];
}
