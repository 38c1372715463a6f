/** `sst dev`: the server on this machine, and nothing in AWS. */
import { PORT } from "./facts.ts";
import type { Settings } from "./settings.ts";

export function runLocally(settings: Settings): Record<string, string> {
  const url = `http://localhost:${PORT}`;
  new sst.x.DevCommand("Statehouse", {
    dev: { title: "Statehouse", command: "npm run dev", autostart: true },
    // Whatever the stage is: one process, SQLite, ./data. Variables of .env win, for Postgres and S3 by compose.
    environment: { STATEHOUSE_PORT: String(PORT), STATEHOUSE_PUBLIC_URL: url, ...settings.environment },
  });
  return { url, login: `pulumi login ${url}` };
}
