import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { DataDirError } from "../../server/config/data-dir.ts";
import { prepareDataDir } from "../../server/config/first-run.ts";
import { readConfig } from "../../server/config/read.ts";
import { tempDir } from "./support.ts";

const KEY = "0123456789abcdef".repeat(4);
const OTHER_KEY = "fedcba9876543210".repeat(4);
const TOKEN = "an-admin-token-of-ours";

function configFor(dataDir: string, env: Record<string, string> = {}) {
  return readConfig({ STATEHOUSE_DATA_DIR: dataDir, ...env });
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}

async function refusalOf(dataDir: string, env?: Record<string, string>): Promise<DataDirError> {
  const error = await prepareDataDir(configFor(dataDir, env)).catch((thrown: unknown) => thrown);
  if (error instanceof DataDirError) return error;
  throw new Error(`expected a DataDirError, got ${JSON.stringify(error)}`);
}

describe("the first start", () => {
  it("makes the folder, a key and a token that nobody else can read", async () => {
    const dataDir = join(tempDir(), "deep/data");
    const prepared = await prepareDataDir(configFor(dataDir));
    expect(prepared.created).toEqual({ dataDir: true, encryptionKey: true, adminToken: true });
    expect(prepared.warnings).toEqual([]);
    expect(prepared.encryptionKey).toHaveLength(32);
    expect(prepared.adminToken).toMatch(/^sth_admin_[A-Za-z0-9_-]{43}$/);
    expect(modeOf(dataDir)).toBe("700");
    expect(readdirSync(dataDir).toSorted()).toEqual(["admin.token", "encryption.key"]);
    expect(modeOf(join(dataDir, "encryption.key"))).toBe("600");
    expect(modeOf(join(dataDir, "admin.token"))).toBe("600");
    expect(readFileSync(join(dataDir, "encryption.key"), "utf8")).toBe(
      `${Buffer.from(prepared.encryptionKey).toString("hex")}\n`,
    );
    expect(readFileSync(join(dataDir, "admin.token"), "utf8")).toBe(`${prepared.adminToken}\n`);
  });

  it("gives the next start the same, and says that nothing is new", async () => {
    const dataDir = join(tempDir(), "data");
    const first = await prepareDataDir(configFor(dataDir));
    writeFileSync(join(dataDir, "statehouse.db"), "");
    const second = await prepareDataDir(configFor(dataDir));
    expect(second.encryptionKey).toEqual(first.encryptionKey);
    expect(second.adminToken).toBe(first.adminToken);
    expect(second.created).toEqual({ dataDir: false, encryptionKey: false, adminToken: false });
  });

  it("writes no secret that the settings give", async () => {
    const dataDir = join(tempDir(), "data");
    const prepared = await prepareDataDir(
      configFor(dataDir, {
        STATEHOUSE_ENCRYPTION_KEY: KEY,
        STATEHOUSE_ADMIN_TOKEN: TOKEN,
        STATEHOUSE_PREVIOUS_ENCRYPTION_KEYS: OTHER_KEY,
      }),
    );
    expect(readdirSync(dataDir)).toEqual([]);
    expect(Buffer.from(prepared.encryptionKey).toString("hex")).toBe(KEY);
    expect(prepared.previousKeys.map((key) => Buffer.from(key).toString("hex"))).toEqual([OTHER_KEY]);
    expect(prepared.adminToken).toBe(TOKEN);
    expect(prepared.sources).toEqual({
      encryptionKey: { kind: "setting", env: "STATEHOUSE_ENCRYPTION_KEY" },
      adminToken: { kind: "setting", env: "STATEHOUSE_ADMIN_TOKEN" },
    });
  });
});

describe("a data folder that needs a person", () => {
  it("is refused when its database is there and its key is not", async () => {
    const dataDir = tempDir();
    writeFileSync(join(dataDir, "statehouse.db"), "");
    const error = await refusalOf(dataDir);
    expect(error.kind).toBe("key_missing");
    expect(error.message).toContain("Put the file back from a backup, or set STATEHOUSE_ENCRYPTION_KEY");
    expect(readdirSync(dataDir)).toEqual(["statehouse.db"]);
  });

  it("is fine when the settings give the key that the folder lacks", async () => {
    const dataDir = tempDir();
    writeFileSync(join(dataDir, "statehouse.db"), "");
    const prepared = await prepareDataDir(configFor(dataDir, { STATEHOUSE_ENCRYPTION_KEY: KEY }));
    expect(prepared.created.encryptionKey).toBe(false);
  });

  it.each([
    ["empty", ""],
    ["cut short", KEY.slice(0, 40)],
    ["not hexadecimal", "x".repeat(64)],
    ["far too long", KEY.repeat(100)],
  ])("is refused when its key file is %s, and the file stays as it is", async (_, content) => {
    const dataDir = tempDir();
    const path = join(dataDir, "encryption.key");
    writeFileSync(path, content, { mode: 0o600 });
    const error = await refusalOf(dataDir);
    expect(error.kind).toBe("key_damaged");
    expect(error.message).toContain("delete the file");
    expect(readFileSync(path, "utf8")).toBe(content);
    writeFileSync(join(dataDir, "statehouse.db"), "");
    const withData = await refusalOf(dataDir);
    expect(withData.kind).toBe("key_damaged");
    expect(withData.message).not.toContain("elete the file");
  });

  it("is refused when its admin token is damaged", async () => {
    const dataDir = tempDir();
    writeFileSync(join(dataDir, "admin.token"), "short\n", { mode: 0o600 });
    expect((await refusalOf(dataDir)).kind).toBe("token_damaged");
  });

  it("is refused when it is a file, lies below one, or holds a folder in a secret's place", async () => {
    const file = join(tempDir(), "file");
    writeFileSync(file, "");
    expect((await refusalOf(file)).kind).toBe("not_a_folder");
    expect((await refusalOf(join(file, "data"))).kind).toBe("not_a_folder");
    const dataDir = tempDir();
    mkdirSync(join(dataDir, "encryption.key"));
    expect((await refusalOf(dataDir)).kind).toBe("not_readable");
  });

  it("is refused when it can't be made", async () => {
    const dataDir = join(tempDir(), "data");
    symlinkSync("/proc/nowhere/data", dataDir);
    expect(["not_writable", "not_a_folder"]).toContain((await refusalOf(dataDir)).kind);
  });

  it("is used with a warning when others can read its secrets", async () => {
    const dataDir = tempDir();
    await prepareDataDir(configFor(dataDir));
    const path = join(dataDir, "encryption.key");
    chmodSync(path, 0o644);
    chmodSync(dataDir, 0o777);
    expect((await prepareDataDir(configFor(dataDir))).warnings).toEqual([
      `Others on this machine can write to ${dataDir} (mode 0777): chmod 700 ${dataDir}`,
      `Others on this machine can read ${path} (mode 0644): chmod 600 ${path}`,
    ]);
  });

  it("is used with a warning when settings and folder disagree about the key", async () => {
    const dataDir = tempDir();
    writeFileSync(join(dataDir, "encryption.key"), OTHER_KEY, { mode: 0o600 });
    const { warnings } = await prepareDataDir(configFor(dataDir, { STATEHOUSE_ENCRYPTION_KEY: KEY }));
    expect(warnings).toEqual([expect.stringContaining("STATEHOUSE_PREVIOUS_ENCRYPTION_KEYS")]);
    expect(warnings.join()).not.toContain(OTHER_KEY);
  });
});
