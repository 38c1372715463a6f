/** docs/deploy/aws.md against what it describes. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { load } from "js-yaml";
import { expect, it } from "vitest";
import { PROXY_HOPS } from "../../infra/facts.ts";
import { resolve } from "../../infra/settings.ts";
import { run } from "../command-line/support.ts";
import { ROOT } from "./synth/bundle.ts";

const PAGE = readFileSync(join(ROOT, "docs/deploy/aws.md"), "utf8");

it("has a row for every choice of statehouse.config.ts", () => {
  const table = PAGE.slice(PAGE.indexOf("| Setting "), PAGE.indexOf("`stages` overrides any"));
  const named = [...table.matchAll(/`(\w+)`/g)].map((match) => match[1]);
  const { stage, ...choices } = resolve({ mode: "aurora" }, "a");
  for (const choice of Object.keys(choices)) expect(named, `${choice} of ${stage}`).toContain(choice);
});

it("has every door", () => {
  const table = PAGE.slice(PAGE.indexOf("## Doors"), PAGE.indexOf("## Domains"));
  for (const edge of Object.keys(PROXY_HOPS)) expect(table).toContain(`| \`${edge}\``);
});

it("shows `statehouse transfer` as the command line takes it", async () => {
  const lines = [...PAGE.matchAll(/^\s*statehouse (transfer .*)$/gm)].map((match) => match[1] ?? "");
  expect(lines).toHaveLength(2);
  const overrides = [...PAGE.matchAll(/"command":(\[[^\]]*\])/g)].map((match) => match[1] ?? "");
  expect(overrides).toHaveLength(2);
  const commands = [
    ...lines.map((line) => line.split(" ")),
    ...overrides.map((it) => JSON.parse(it) as string[]),
  ];
  const env = { STATEHOUSE_ADMIN_TOKEN: "an-admin-token-of-ours" };
  for (const command of commands) {
    const outcome = await run(command, env, {
      transfer: async () => ({ outcome: "was_moved" }) as never,
      reopenSource: async () => undefined,
    });
    expect(outcome, command.join(" ")).toMatchObject({ code: 0, stderr: "" });
  }
});

it("adds its costs up", () => {
  const cents = (cell: string | undefined) => Math.round(Number((cell ?? "").replace(/\*/g, "")) * 100);
  const tables = PAGE.slice(PAGE.indexOf("## Costs"), PAGE.indexOf("| Choice "));
  const rows = tables.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
  let sums: number[] = [];
  let seen = 0;
  for (const row of rows) {
    const cells = row.slice(3, -1);
    if (row[1] === "Part") sums = cells.map(() => 0);
    else if (row[1] === "**a month**") {
      expect(cells.map(cents)).toEqual(sums);
      seen += 1;
    } else if (/^[\d.]*$/.test(cells[0] ?? "-")) sums = sums.map((sum, i) => sum + cents(cells[i]));
  }
  expect(seen).toBe(2);
});

it.each(["github-actions", "bitbucket-pipelines"])("has a pipeline that this project can run: %s", (name) => {
  const text = readFileSync(join(ROOT, `docs/deploy/ci/${name}.yml`), "utf8");
  expect(load(text)).toBeTypeOf("object");
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { scripts: object };
  const used = [...text.matchAll(/npm run ([\w:]+)/g)].map((match) => match[1] ?? "");
  expect(used.length).toBeGreaterThan(2);
  for (const script of used) expect(Object.keys(scripts)).toContain(script);
  // Checked before anything is built, and built once: what is deployed is the image that was pushed.
  expect(text.indexOf("infra:prepare")).toBeLessThan(text.indexOf("npm test"));
  expect(text).toContain("STATEHOUSE_IMAGE");
  expect(text.match(/docker build |docker\/build-push-action@/g)).toHaveLength(1);
  expect(text).not.toMatch(/AWS_SECRET_ACCESS_KEY|AWS_ACCESS_KEY_ID/);
});
