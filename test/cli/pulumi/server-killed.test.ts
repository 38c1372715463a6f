/** The server dies in the middle of an update, or is restarted, and comes back: nothing acknowledged is lost. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { ADMIN_TOKEN } from "../../support/server.ts";
import { gateReached, ledger, openGate, ref, stashProject, thingProject } from "./programs.ts";
import { describePulumi } from "./pulumi.ts";
import { ServerProcess } from "./server-process.ts";
import { Terminal } from "./terminal.ts";

const DOWN_MS = 300;

describePulumi("a server that goes down during an update", () => {
  let server: ServerProcess;
  let terminal: Terminal;

  beforeAll(async () => {
    terminal = await Terminal.open({ PULUMI_ACCESS_TOKEN: ADMIN_TOKEN });
    server = await ServerProcess.start(`${terminal.home}/server`);
    await terminal.login(server.url);
  });

  afterAll(async () => {
    await server?.stop();
    await terminal?.close();
  });

  it("is not missed by an update that has nothing to say meanwhile", async () => {
    const project = await thingProject(terminal, "job", [
      { name: "first" },
      { name: "slow", gate: "gate" },
      { name: "last" },
    ]);
    await project.ok("stack", "init", "dev");
    const up = project.start("up", "--yes", "--skip-preview");
    await gateReached(project, "gate");
    await server.kill();
    await server.start();
    expect(await project.fails("up", "--yes", "--skip-preview")).toContain("[409] Conflict");
    await openGate(project, "gate");
    expect(await up.done).toMatchObject({ code: 0 });
    const state = await project.export();
    expect([state.names, state.pending]).toEqual([["first", "slow", "last"], []]);
    expect(await project.json("stack", "output", "--json", "--show-secrets")).toMatchObject({
      last: "id-last",
      hush: "quiet",
    });
    expect(await project.json("stack", "history", "--json")).toMatchObject([
      { version: 1, result: "succeeded" },
    ]);
    expect(await ledger(project)).toEqual(["created first", "created slow", "created last"]);
  });

  it("is survived by an update in full swing, which tries again until the server is back", async () => {
    const names = Array.from({ length: 60 }, (_, index) => `stash${index}`);
    const project = await stashProject(terminal, "many", {
      stashes: Object.fromEntries(names.map((name) => [name, { "fn::secret": name }])),
      outputs: { some: ref("stash7.input") },
    });
    await project.ok("stack", "init", "dev");
    for (const end of ["kill", "stop"] as const) {
      const up = project.start("up", "--yes", "--skip-preview", "--parallel", "2");
      await up.until(/stash\d+ (created|updated|deleted)/);
      await server[end]();
      if (end === "kill") expect(up.child.exitCode).toBeNull();
      await new Promise((done) => setTimeout(done, DOWN_MS));
      await server.start();
      expect(await up.done).toMatchObject({ code: 0 });
      const state = await project.export();
      expect(state.names.toSorted()).toEqual(names.toSorted());
      expect(state.pending).toEqual([]);
      await project.write(
        "Pulumi.yaml",
        (await project.read("Pulumi.yaml")).replaceAll('"fn::secret":"', '"fn::secret":"new '),
      );
    }
    expect(await project.json("stack", "output", "--json", "--show-secrets")).toEqual({ some: "new stash7" });
    expect(await project.json("stack", "history", "--json")).toMatchObject([{ version: 2 }, { version: 1 }]);
  });

  it("loses nothing when the CLI dies with it", async () => {
    const project = await thingProject(terminal, "unlucky", [
      { name: "first" },
      { name: "slow", gate: "gate" },
      { name: "last" },
    ]);
    await project.ok("stack", "init", "dev");
    const up = project.start("up", "--yes", "--skip-preview");
    await gateReached(project, "gate");
    await server.kill();
    up.kill("SIGKILL");
    await up.done;
    await terminal.endLeftovers();
    await server.start();
    await openGate(project, "gate");
    await project.ok("cancel", "--yes");
    const state = await project.export();
    expect([state.names, state.pending]).toEqual([["first"], ["creating slow"]]);
    expect(await project.json("stack", "history", "--json")).toMatchObject([
      { version: 1, result: "failed" },
    ]);
    expect(await project.up()).toContain("+ 2 created");
    expect((await project.export()).names.toSorted()).toEqual(["first", "last", "slow"]);
  });
});
