/** The first start of the real program, as a newcomer sees it. */
import { expect, it } from "vitest";
import { spawnServer } from "../support/process.ts";
import { makeTempDir } from "../support/server.ts";

const AS_FOUND = { STATEHOUSE_ADMIN_TOKEN: "", STATEHOUSE_LOG_FORMAT: "" };

it("says where it is and what to type, and nothing else; later starts log as usual", async () => {
  const dataDir = await makeTempDir();
  const first = await spawnServer({ dataDir, env: AS_FOUND }).ready();
  await first.until("has said it all", () => first.stdout.includes("Keep a copy of"));
  const answer = await fetch(`${first.url}/nowhere`);
  expect(answer.status).toBe(404);
  await first.until("logs the request", () => first.stdout.includes('"path":"/nowhere"'));
  const [welcome = ""] = first.stdout.split('{"level"');
  expect(welcome).toMatch(/^Statehouse is ready at http:\/\/\S+\n\n/);
  expect(welcome).toContain("pulumi login ");
  expect(first.stdout.slice(welcome.length)).not.toMatch(/opened|listening/);
  expect(first.stderr).toBe("");
  first.signal("SIGTERM");
  await first.exited;
  const second = await spawnServer({ dataDir, env: AS_FOUND }).ready();
  await second.until("logs that it listens", () => second.stdout.includes('"msg":"listening"'));
});
