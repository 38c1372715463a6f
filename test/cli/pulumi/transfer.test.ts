/** Data moved from one shape to the other and back, between two runs of the real CLI at one address. */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { makeEmptyDatabase } from "../../support/postgres.ts";
import { newPrefix, startS3, type TestS3 } from "../../support/s3.ts";
import { ADMIN_TOKEN } from "../../support/server.ts";
import { gateReached, openGate, ref, stashProject, thingProject } from "./programs.ts";
import { describePulumi } from "./pulumi.ts";
import { ServerProcess } from "./server-process.ts";
import { Terminal } from "./terminal.ts";

const MAIN = fileURLToPath(new URL("../../../server/main.ts", import.meta.url));
const KEY = "3c".repeat(32);
const run = promisify(execFile);

type Env = Record<string, string>;

describePulumi("a transfer", () => {
  let s3: TestS3;
  let terminal: Terminal;
  let server: ServerProcess | null = null;

  beforeAll(async () => {
    s3 = await startS3();
    terminal = await Terminal.open({ PULUMI_ACCESS_TOKEN: ADMIN_TOKEN });
  });

  afterAll(async () => {
    await server?.stop();
    await terminal?.close();
    await s3?.stop();
  });

  const common: Env = { STATEHOUSE_ENCRYPTION_KEY: KEY, STATEHOUSE_ADMIN_TOKEN: ADMIN_TOKEN };
  const sqlite = (name: string): Env => ({ ...common, STATEHOUSE_DATA_DIR: `${terminal.home}/${name}` });
  const postgres = async (): Promise<Env> => ({
    ...common,
    ...s3.env,
    STATEHOUSE_MODE: "aurora",
    STATEHOUSE_DATABASE_URL: await makeEmptyDatabase(),
    STATEHOUSE_S3_FORCE_PATH_STYLE: "true",
    STATEHOUSE_S3_PREFIX: newPrefix(),
  });

  async function envFile(name: string, env: Env): Promise<string> {
    const path = `${terminal.home}/${name}.env`;
    const lines = Object.entries(env).map(([key, value]) => `${key}=${value}\n`);
    await writeFile(path, lines.join(""));
    return path;
  }

  async function transfer(from: Env, to: Env, ...more: string[]): Promise<string> {
    const [fromFile, toFile] = [await envFile("from", from), await envFile("to", to)];
    const args = [MAIN, "transfer", "--from", fromFile, "--to", toFile, ...more];
    const { stdout } = await run(process.execPath, args, {
      cwd: terminal.home,
      env: { PATH: process.env.PATH },
    });
    return stdout;
  }

  it.each(["there", "back"] as const)(
    "leaves nothing for a preview to change: %s",
    async (way) => {
      const [disk, cloud] = [sqlite(`data-${way}`), await postgres()];
      const [from, to] = way === "there" ? [disk, cloud] : [cloud, disk];
      server = await ServerProcess.start(`${terminal.home}/server-${way}`, from);
      const port = new URL(server.url).port;
      const [here, there] = [
        { ...from, STATEHOUSE_PORT: port },
        { ...to, STATEHOUSE_PORT: port },
      ];
      await terminal.login(server.url);
      const project = await stashProject(terminal, `stash-${way}`, {
        stashes: { one: "1", two: { "fn::secret": "2" } },
        outputs: { hidden: ref("two.input") },
      });
      await project.ok("stack", "init", "dev");
      await project.ok("config", "set", "--secret", "word", "hush");
      await project.ok("up", "--yes", "--skip-preview");

      // A running `up` is refused, and not disturbed.
      const busy = await thingProject(terminal, `busy-${way}`, [
        { name: "first" },
        { name: "slow", gate: "gate" },
      ]);
      await busy.ok("stack", "init", "dev");
      const up = busy.start("up", "--yes", "--skip-preview");
      await gateReached(busy, "gate");
      await expect(transfer(here, there)).rejects.toThrow("1 update is running");
      // Waited for, it ends as if nothing were.
      const moving = transfer(here, there, "--wait", "2m", "--new-url", "https://new.example");
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      await openGate(busy, "gate");
      expect(await up.done).toMatchObject({ code: 0 });
      expect(await moving).toContain("Moved");
      expect(await project.fails("up", "--yes", "--skip-preview")).toContain("https://new.example");

      await server.stop();
      const moved = await ServerProcess.start(`${terminal.home}/server-${way}-2`, there);
      server = moved;
      expect(await project.ok("preview", "--expect-no-changes", "--diff")).toContain("unchanged");
      expect(await busy.ok("preview", "--expect-no-changes")).toContain("unchanged");
      expect(await project.json("stack", "output", "--json", "--show-secrets")).toEqual({ hidden: "2" });
      expect(await project.ok("config", "get", "word")).toContain("hush");
      await project.ok("up", "--yes", "--skip-preview");
      await moved.stop();
      server = null;
    },
    120_000,
  );
});
