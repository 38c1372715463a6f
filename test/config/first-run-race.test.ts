/** Starters in processes of their own. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";
import { tempDir } from "./support.ts";

const STARTERS = 6;
const ROUNDS = 2;
const NOBODY = "65534";

async function startWaiting(args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "prepare-once.ts"), ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return child;
}

/** Lets the child go on; what it printed. */
async function outcomeOf(child: ChildProcess) {
  if (child.stdin === null || child.stdout === null) throw new Error("the child has no pipes");
  child.stdin.write("go\n");
  return JSON.parse(await text(child.stdout));
}

it("many starters at once agree on one key and one token", { timeout: 30_000 }, async () => {
  for (let round = 0; round < ROUNDS; round += 1) {
    const dataDir = join(tempDir(), "data");
    const children = await Promise.all(Array.from({ length: STARTERS }, () => startWaiting([dataDir])));
    const outcomes = await Promise.all(children.map(outcomeOf));
    expect(new Set(outcomes.map(({ encryptionKey }) => encryptionKey)).size).toBe(1);
    expect(new Set(outcomes.map(({ adminToken }) => adminToken)).size).toBe(1);
    expect(outcomes[0].encryptionKey).toMatch(/^[0-9a-f]{64}$/);
    expect(outcomes.filter(({ created }) => created.encryptionKey)).toHaveLength(1);
    expect(outcomes.filter(({ created }) => created.adminToken)).toHaveLength(1);
    expect(readdirSync(dataDir).toSorted()).toEqual(["admin.token", "encryption.key"]);
  }
});

it("a folder that the server's user can't write is refused with the way out", async () => {
  const dataDir = tempDir();
  chmodSync(dataDir, 0o555);
  // Root can write everywhere: it becomes nobody for this.
  const child = await startWaiting([dataDir, ...(process.getuid?.() === 0 ? [NOBODY] : [])]);
  const { error } = await outcomeOf(child);
  expect(error).toContain(`The data folder ${dataDir} can't be written (EACCES). Give it to user id `);
});
