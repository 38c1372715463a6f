/** Settings that come from files: `.env` and `…_FILE`. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../../server/config/config-error.ts";
import { readConfig, withDotEnv } from "../../server/config/read.ts";
import { problemsOf, tempDir } from "./support.ts";

const TOKEN = "a-token-from-a-file";

function fileWith(content: string): string {
  const path = join(tempDir(), "secret");
  writeFileSync(path, content);
  return path;
}

describe("a secret from a file", () => {
  it.each(["", "\n", "\r\n", "\n\n"])("is read without the newline at its end (%j)", (end) => {
    const path = fileWith(TOKEN + end);
    expect(readConfig({ STATEHOUSE_ADMIN_TOKEN_FILE: path }).adminToken).toBe(TOKEN);
  });

  it.each(["ENCRYPTION_KEY", "PREVIOUS_ENCRYPTION_KEYS", "METRICS_TOKEN"])("works for %s", (name) => {
    const path = fileWith(`${"ab".repeat(32)}\n`);
    expect(() => readConfig({ [`STATEHOUSE_${name}_FILE`]: path })).not.toThrow();
    expect(problemsOf({ [`STATEHOUSE_${name}_FILE`]: path, [`STATEHOUSE_${name}`]: "x" })).toContainEqual({
      name: `STATEHOUSE_${name}_FILE`,
      problem: `and STATEHOUSE_${name} are both set: keep one of them`,
    });
  });

  it("is a problem when there is no such file, when it is empty, or a folder", () => {
    const name = "STATEHOUSE_ADMIN_TOKEN_FILE";
    const empty = fileWith("\n");
    const folder = tempDir();
    const missing = join(folder, "none");
    expect(problemsOf({ [name]: missing })).toEqual([
      { name, problem: `names a file that can't be read: ${missing} (there is no such file)` },
    ]);
    expect(problemsOf({ [name]: folder })).toEqual([
      { name, problem: `names a file that can't be read: ${folder} (it is a folder)` },
    ]);
    expect(problemsOf({ [name]: empty })).toEqual([{ name, problem: `names an empty file: ${empty}` }]);
  });

  it("is checked like one from the environment, and not shown", () => {
    const path = fileWith("s3cret");
    const problem = "must be 16 to 512 printable ASCII characters without blanks";
    expect(problemsOf({ STATEHOUSE_ADMIN_TOKEN_FILE: path })).toEqual([
      { name: "STATEHOUSE_ADMIN_TOKEN", problem },
    ]);
  });
});

describe(".env", () => {
  it("gives what the environment does not", () => {
    const folder = tempDir();
    writeFileSync(join(folder, ".env"), 'STATEHOUSE_PORT=4001\nSTATEHOUSE_HOST="0.0.0.0" # all\n');
    const env = withDotEnv({ STATEHOUSE_PORT: "4002" }, folder);
    expect(readConfig(env)).toMatchObject({ port: 4002, host: "0.0.0.0" });
  });

  it("may be absent, but not unreadable", () => {
    const folder = tempDir();
    expect(withDotEnv({ A: "1" }, folder)).toEqual({ A: "1" });
    mkdirSync(join(folder, ".env"));
    expect(() => withDotEnv({}, folder)).toThrow(ConfigError);
  });
});

it("docs/configuration.md is current", () => {
  const script = join(import.meta.dirname, "../../scripts/config-docs.ts");
  expect(() => execFileSync(process.execPath, [script, "--check"], { stdio: "pipe" })).not.toThrow();
});
