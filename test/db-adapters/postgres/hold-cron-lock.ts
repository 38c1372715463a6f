/** A process that takes the cron lock and keeps it until it is killed; one line on stdout once it has it. */
import { openPostgres } from "../../../db-adapters/postgres/open.ts";

const [url = ""] = process.argv.slice(2);
const db = await openPostgres({ url });
const held = await db.tryCronLock("gc");
console.log(held === null ? "refused" : "held");
setInterval(() => undefined, 1_000);
