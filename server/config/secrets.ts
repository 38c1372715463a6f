/** Secrets that come as files: `STATEHOUSE_ADMIN_TOKEN_FILE=/run/secrets/admin` in place of the value. */
import { readFileSync } from "node:fs";
import type { ConfigProblem } from "./config-error.ts";
import type { Environment } from "./read.ts";
import type { Setting } from "./schema.ts";

const SECRET_FILE_BYTES_MAX = 64 * 1024;

export type SecretValue =
  | { readonly kind: "value"; readonly value: string }
  | { readonly kind: "unset" }
  | { readonly kind: "problem"; readonly problem: ConfigProblem };

/** The value of a secret setting, from the variable itself or from the file that `…_FILE` names. */
export function readSecret(setting: Setting, env: Environment): SecretValue {
  const value = env[setting.env] ?? "";
  const fileVariable = secretFileVariable(setting);
  const path = env[fileVariable] ?? "";
  if (path === "") return value === "" ? { kind: "unset" } : { kind: "value", value };
  if (value !== "") return problem(fileVariable, `and ${setting.env} are both set: keep one of them`);
  return readSecretFile(fileVariable, path);
}

export function secretFileVariable(setting: { readonly env: string }): string {
  return `${setting.env}_FILE`;
}

function readSecretFile(variable: string, path: string): SecretValue {
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (error) {
    return problem(variable, `names a file that can't be read: ${reason(error, path)}`);
  }
  if (content.length > SECRET_FILE_BYTES_MAX)
    return problem(variable, `names a file that is too large: ${path}`);
  const value = content.replace(/(\r?\n)+$/, "");
  return value === "" ? problem(variable, `names an empty file: ${path}`) : { kind: "value", value };
}

function reason(error: unknown, path: string): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
  const words: Readonly<Record<string, string>> = {
    ENOENT: "there is no such file",
    EACCES: "no permission",
    EISDIR: "it is a folder",
  };
  return `${path} (${words[code] ?? code})`;
}

function problem(name: string, words: string): SecretValue {
  return { kind: "problem", problem: { name, problem: words } };
}
