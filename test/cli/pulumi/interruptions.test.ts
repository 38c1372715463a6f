/** Updates that fail, meet each other, are cancelled, interrupted or killed; and what is there afterwards. */
import { beforeEach, expect, it } from "vitest";
import { gateReached, ledger, openGate, setThings, thingProject } from "./programs.ts";
import { describePulumi } from "./pulumi.ts";
import type { Project, Running } from "./terminal.ts";
import { useWorld } from "./world.ts";

/** Longer than a lease and its grace. */
const LEASE_OVER_MS = 10 * 60_000;

describePulumi("an update that does not end as it should", () => {
  const world = useWorld();
  let project: Project;
  let count = 0;

  const history = () => project.json("stack", "history", "--json");

  beforeEach(async () => {
    count += 1;
    project = await thingProject(world().terminal, `job${count}`, [
      { name: "first" },
      { name: "slow", gate: "gate" },
      { name: "last" },
    ]);
    await project.ok("stack", "init", "dev");
  });

  /** An `up` that stands before the gate of the second resource. */
  const upToTheGate = async (): Promise<Running> => {
    const up = project.start("up", "--yes", "--skip-preview");
    await gateReached(project, "gate");
    return up;
  };

  /** As when the machine of the CLI is lost. */
  const kill = async (up: Running) => {
    up.kill("SIGKILL");
    await up.done;
    await world().terminal.endLeftovers();
  };

  it("fails with what it made until then, a version and an entry in the history", async () => {
    await setThings(project, [{ name: "first" }]);
    await project.up();
    await setThings(project, [{ name: "first", value: "2" }, { name: "bad", fail: true }, { name: "last" }]);
    const said = await project.fails("up", "--yes", "--skip-preview", "--message", "will not do");
    expect(said).toContain("this thing cannot be made");
    const state = await project.export();
    expect(state.names).toEqual(["first"]);
    expect(state.resource("first").outputs).toMatchObject({ value: "2" });
    expect(state.pending).toEqual([]);
    expect(await history()).toMatchObject([
      { version: 2, kind: "update", result: "failed", message: "will not do" },
      { version: 1, result: "succeeded" },
    ]);
    expect(await project.json("stack", "output", "--json")).toEqual({ first: "id-first", hush: "[secret]" });
    await setThings(project, [{ name: "first", value: "2" }, { name: "bad" }, { name: "last" }]);
    expect(await project.up()).toContain("+ 2 created");
    expect(await ledger(project)).toEqual(["created first", "updated first", "created bad", "created last"]);
  });

  it("keeps a second one out while it runs", async () => {
    const up = await upToTheGate();
    const refused = await project.fails("up", "--yes", "--skip-preview");
    expect(refused).toContain("[409] Conflict: Another update is currently in progress.");
    expect(await project.ok("preview")).toContain("+ 4 to create");
    expect(await project.ok("stack")).toMatch(/Update in progress|currently in progress/i);
    const state = await project.export();
    expect(state.names).toEqual([]);
    await project.write("state.json", state.text);
    expect(await project.fails("stack", "import", "--file", "state.json")).toContain("[409]");
    expect(await project.fails("stack", "rename", "other")).toContain("[409]");
    expect(await project.fails("stack", "rm", "--yes", "--force")).toContain("[409]");
    await openGate(project, "gate");
    expect((await up.done).code).toBe(0);
    expect((await project.export()).names).toEqual(["first", "slow", "last"]);
    expect(await history()).toMatchObject([{ version: 1, result: "succeeded" }]);
  });

  it("is cancelled from another terminal: the stack is free at once, what was made is kept", async () => {
    const up = await upToTheGate();
    await project.ok("cancel", "--yes");
    const state = await project.export();
    expect(state.names).toEqual(["first"]);
    expect(state.pending).toEqual(["creating slow"]);
    await openGate(project, "gate");
    const { code, output } = await up.done;
    expect(code).not.toBe(0);
    expect(output).toContain("The provided update token has expired");
    expect(await history()).toMatchObject([{ version: 1, result: "failed" }]);
    expect((await project.export()).text).toBe(state.text);
    expect(await project.up()).toContain("2 created");
    expect(await project.fails("cancel", "--yes")).toContain(
      "[409] Conflict: The Update has already completed",
    );
  });

  it("is stopped by Ctrl-C, in order", async () => {
    const up = await upToTheGate();
    up.kill("SIGINT");
    await up.until(/\^C|SIGINT|cancel/i);
    await openGate(project, "gate");
    expect((await up.done).code).not.toBe(0);
    const state = await project.export();
    expect(state.names).toEqual(["first", "slow"]);
    expect(state.pending).toEqual([]);
    expect(await history()).toMatchObject([{ version: 1, result: "failed" }]);
    expect(await project.up()).toContain("+ 1 created");
    expect(await ledger(project)).toEqual(["created first", "created slow", "created last"]);
  });

  it("is killed: its stack stays taken, until its lease ends and the sweep frees it", async () => {
    const up = await upToTheGate();
    await kill(up);
    await openGate(project, "gate");
    expect(await project.fails("up", "--yes", "--skip-preview")).toContain("[409] Conflict");
    world().advance(LEASE_OVER_MS);
    await world().server.scheduler.tick();
    const state = await project.export();
    expect(state.names).toEqual(["first"]);
    expect(state.pending).toEqual(["creating slow"]);
    expect(await history()).toMatchObject([{ version: 1, result: "failed" }]);
    expect(await project.ok("stack", "ls", "--json")).not.toContain('"updateInProgress": true');
    const next = await project.run("up", "--yes", "--skip-preview");
    expect(next).toMatchObject({ code: 0 });
    expect(next.output).toContain("1 pending operations from previous deployment");
    expect(next.output).toContain("slow, interrupted while creating");
    expect((await project.export()).names.toSorted()).toEqual(["first", "last", "slow"]);
  });

  it("is killed without a journal: the next up takes over after the lease, the pending operation can be cleared", async () => {
    project = project.with({ PULUMI_DISABLE_JOURNALING: "true" });
    const up = await upToTheGate();
    await kill(up);
    world().advance(LEASE_OVER_MS);
    await openGate(project, "gate");
    const next = await project.run("up", "--yes", "--skip-preview");
    expect(next).toMatchObject({ code: 0 });
    expect(next.output).toContain("slow, interrupted while creating");
    expect(await history()).toMatchObject([
      { version: 2, result: "succeeded" },
      { version: 1, result: "failed" },
    ]);
    expect((await project.export()).pending).toEqual(["creating slow"]);
    await project.ok("refresh", "--yes", "--skip-preview", "--clear-pending-creates");
    expect((await project.export()).pending).toEqual([]);
    expect(await project.up("--expect-no-changes")).toContain("4 unchanged");
  });
});
