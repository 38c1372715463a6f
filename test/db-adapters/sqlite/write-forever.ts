/** A process that writes until it is killed; one line on stdout for each write that was acknowledged. */
import { openSqlite } from "../../../db-adapters/sqlite/open.ts";

const [path = "", prefix = "", type = "ext4"] = process.argv.slice(2);
const kind = type === "ext4" ? "local" : "network";
const db = await openSqlite({ path, fileSystem: { type, mountPoint: "/", kind } });

function say(line: string): Promise<void> {
  return new Promise((resolve) => void process.stdout.write(`${line}\n`, () => resolve()));
}
await say("ready");

async function writeForever(lane: number): Promise<never> {
  for (let i = 0; ; i += 1) {
    const name = `${prefix}-${lane}-${i}`;
    await db.createOrganization({ id: name, name, nowMs: 1 });
    await say(name);
  }
}
await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(writeForever));
