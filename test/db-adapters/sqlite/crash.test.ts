import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import SqliteDatabase from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { makeTempDir, openFor } from "./support.ts";

const WRITER = join(import.meta.dirname, "write-forever.ts");

/** Lets a child write for `durationMs`, kills it, and gives what it had acknowledged. */
async function writeAndKill(path: string, prefix: string, type: string, durationMs: number) {
  const child = spawn(process.execPath, [WRITER, path, prefix, type], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  while (!output.startsWith("ready\n")) await sleep(5);
  await sleep(durationMs);
  child.kill("SIGKILL");
  await once(child, "close");
  return output.split("\n").slice(1, -1);
}

describe.each(["ext4", "nfs4"])("a process killed while it writes (%s)", (type) => {
  it("loses nothing that it acknowledged, five times over", async () => {
    const path = join(await makeTempDir(), "a.db");
    for (let round = 0; round < 5; round += 1) {
      const acknowledged = await writeAndKill(path, `r${round}`, type, 40 + round * 45);
      const db = await openFor({ path, fileSystem: { type, mountPoint: "/", kind: "local" } });
      const stored = await db.listOrganizations({ after: null, limit: 1_000_000 });
      const names = new Set(stored.map((organization) => organization.name));
      expect(acknowledged.filter((name) => !names.has(name))).toEqual([]);
      expect(acknowledged.length).toBeGreaterThan(0);
      await db.close();
      const connection = new SqliteDatabase(path);
      expect(connection.pragma("integrity_check", { simple: true })).toBe("ok");
      connection.close();
    }
  });
});
