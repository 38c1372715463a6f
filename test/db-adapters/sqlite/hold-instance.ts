/** A process that takes a data folder; obeys `write <name>`, `release` and `exit` on stdin. */
import { join } from "node:path";
import { createInterface } from "node:readline";
import { acquireInstance } from "../../../db-adapters/sqlite/instance-guard.ts";
import { openSqlite } from "../../../db-adapters/sqlite/open.ts";

const [dir = "", staleMs = "1000"] = process.argv.slice(2);

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

const instance = await acquireInstance({
  dir,
  heartbeatMs: 50,
  staleMs: Number(staleMs),
  onWait: (owner) => say(`waiting for ${owner.fence} ${owner.pid}`),
  onLost: (reason) => say(`lost: ${reason}`),
});
const db = await openSqlite({ path: join(dir, "a.db"), fence: instance.fence });
say(`owner ${instance.fence.number}`);

for await (const line of createInterface({ input: process.stdin })) {
  const [command, name = ""] = line.split(" ");
  if (command === "write")
    await db.createOrganization({ id: name, name, nowMs: 1 }).then(
      (outcome) => say(`wrote ${outcome}`),
      (error: unknown) => say(`refused: ${String(error)}`),
    );
  if (command === "release") {
    await db.close();
    await instance.release();
    say("released");
  }
  if (command === "exit") process.exit(0);
}
