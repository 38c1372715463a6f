/** The real CLI against three replicas behind a balancer that gives each of its requests to another one. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Fleet, startFleet } from "../../replicas/fleet.ts";
import { ADMIN_TOKEN } from "../../support/server.ts";
import {
  gateReached,
  openGate,
  ref,
  type StashProgram,
  stashProject,
  stashYaml,
  thingProject,
} from "./programs.ts";
import { describePulumi } from "./pulumi.ts";
import { Terminal } from "./terminal.ts";

function program(size: number, word: string): StashProgram {
  const names = Array.from({ length: size }, (_, index) => `stash${index}`);
  return {
    stashes: Object.fromEntries(names.map((name) => [name, { "fn::secret": `${name} ${word}` }])),
    outputs: { hidden: ref("stash0.input") },
    config: {},
  };
}

/** Which replicas answered the requests of each update, in order. */
function byUpdate({ proxy }: Fleet): number[][] {
  const updates = new Map<string, number[]>();
  for (const { path, backend } of proxy.passed) {
    const id = /\/(?:update|destroy|refresh|preview)\/([0-9a-f-]{36})/.exec(path)?.[1];
    if (id !== undefined) updates.set(id, [...(updates.get(id) ?? []), backend]);
  }
  return [...updates.values()];
}

/** Dozens of commands' worth of processes, on a machine that may have other work. */
const LONG_MS = 180_000;

describePulumi("three replicas, each request to another", () => {
  let terminal: Terminal;

  beforeAll(async () => {
    terminal = await Terminal.open({ PULUMI_ACCESS_TOKEN: ADMIN_TOKEN });
  });

  afterAll(async () => {
    await terminal?.close();
  });

  it(
    "are one server: up, secrets, change, refresh and destroy",
    async () => {
      const fleet = await startFleet();
      await terminal.login(fleet.proxy.url);
      const project = await stashProject(terminal, "spread", program(12, "first"));
      await project.ok("stack", "init", "dev");
      await project.ok("config", "set", "--secret", "word", "hush");
      await project.up();
      expect(await project.ok("config", "get", "word")).toContain("hush");
      expect(await project.json("stack", "output", "--json", "--show-secrets")).toEqual({
        hidden: "stash0 first",
      });
      expect((await project.export()).text).not.toContain("stash0 first");
      await project.ok("preview", "--expect-no-changes");

      await project.write("Pulumi.yaml", stashYaml("spread", program(9, "second")));
      await project.up();
      expect(await project.json("stack", "output", "--json", "--show-secrets")).toEqual({
        hidden: "stash0 second",
      });
      expect((await project.export()).names).toHaveLength(9);
      await project.ok("refresh", "--yes", "--expect-no-changes");
      await project.ok("destroy", "--yes", "--skip-preview");
      expect((await project.export()).names).toEqual([]);
      expect(await project.json("stack", "history", "--json")).toMatchObject(
        [4, 3, 2, 1].map((version) => ({ version, result: "succeeded" })),
      );
      await project.ok("stack", "rm", "dev", "--yes");

      const { passed } = fleet.proxy;
      expect(passed.filter(({ status }) => status >= 400 && status !== 404)).toEqual([]);
      // The balancer did what it is for: no update of any length was one replica's alone.
      const long = byUpdate(fleet).filter((backends) => backends.length >= 6);
      expect(long.length).toBeGreaterThanOrEqual(4);
      for (const backends of long) expect(new Set(backends)).toEqual(new Set([0, 1, 2]));
    },
    LONG_MS,
  );

  it("are missed one by one by nobody: each is killed in the middle of an update", async () => {
    const fleet = await startFleet();
    await terminal.login(fleet.proxy.url);
    const gates = ["gate0", "gate1", "gate2"];
    const project = await thingProject(
      terminal,
      "killed",
      gates.map((gate) => ({ name: `behind-${gate}`, gate })),
    );
    await project.ok("stack", "init", "dev");
    const up = project.start("up", "--yes", "--skip-preview");
    await gateReached(project, "gate0");
    expect(await project.fails("up", "--yes", "--skip-preview")).toContain("[409] Conflict");
    for (const [index, gate] of gates.entries()) {
      await gateReached(project, gate);
      const replica = fleet.replicas[index];
      await replica?.kill();
      await openGate(project, gate);
      if (index < 2) await replica?.start();
    }
    expect(await up.done).toMatchObject({ code: 0 });
    const state = await project.export();
    expect([state.names, state.pending]).toEqual([gates.map((gate) => `behind-${gate}`), []]);
    expect(await project.json("stack", "output", "--json", "--show-secrets")).toMatchObject({
      hush: "quiet",
    });
  });
});
