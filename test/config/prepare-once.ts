/** A starter in a process of its own: prepares the folder when told to, and prints what it got. */
import { once } from "node:events";
import { prepareDataDir } from "../../server/config/first-run.ts";
import { readConfig } from "../../server/config/read.ts";

const [dataDir = "", uid = ""] = process.argv.slice(2);
const config = readConfig({ STATEHOUSE_DATA_DIR: dataDir });
process.stdout.write("waiting\n");
await once(process.stdin, "data");
if (uid !== "") process.setuid?.(Number(uid));
try {
  const prepared = await prepareDataDir(config);
  const encryptionKey = Buffer.from(prepared.encryptionKey).toString("hex");
  process.stdout.write(`${JSON.stringify({ ...prepared, encryptionKey })}\n`);
} catch (error) {
  process.stdout.write(`${JSON.stringify({ error: String(error) })}\n`);
}
process.exit();
