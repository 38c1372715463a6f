/** Updates that nothing disturbs, and what is told about them afterwards. */
import { beforeAll, expect, it } from "vitest";
import { ref, stashProject, stashYaml } from "./programs.ts";
import { describePulumi } from "./pulumi.ts";
import type { Project } from "./terminal.ts";
import { useWorld } from "./world.ts";

interface HistoryEntry {
  readonly version: number;
  readonly kind: string;
  readonly result: string;
  readonly message: string;
  readonly resourceChanges?: Readonly<Record<string, number>>;
}

describePulumi("updates of one stack", () => {
  const world = useWorld();
  let project: Project;

  const history = (): Promise<HistoryEntry[]> => project.json("stack", "history", "--json");
  const setProgram = (one: string, two: string) =>
    project.write(
      "Pulumi.yaml",
      stashYaml("shop", {
        stashes: { one, two: { "of one": ref("one.input"), own: two } },
        outputs: { one: ref("one.input"), hush: { "fn::secret": "quiet" } },
      }),
    );

  beforeAll(async () => {
    project = await stashProject(world().terminal, "shop", { stashes: {} });
    await setProgram("a", "a");
    await project.ok("stack", "init", "dev");
  });

  it("are previewed without leaving a version", async () => {
    expect(await project.ok("preview")).toContain("+ 3 to create");
    expect(await project.ok("stack", "history")).toContain("Stack has never been updated");
    expect((await project.export()).resources).toEqual([]);
  });

  it("create what the program says, with a preview before", async () => {
    expect(await project.ok("up", "--yes", "--message", "first of all")).toContain("+ 3 created");
    expect((await project.export()).names).toEqual(["one", "two"]);
    expect(await project.json("stack", "output", "--json", "--show-secrets")).toEqual({
      one: "a",
      hush: "quiet",
    });
    const [entry, ...others] = await history();
    expect(others).toEqual([]);
    expect(entry).toMatchObject({ version: 1, kind: "update", result: "succeeded", message: "first of all" });
    expect(entry?.resourceChanges).toEqual({ create: 3 });
  });

  it("change nothing when nothing changed, and keep the outputs", async () => {
    expect(await project.up("--expect-no-changes")).toContain("3 unchanged");
    expect(await project.json("stack", "output", "--json")).toEqual({ one: "a", hush: "[secret]" });
  });

  it("refresh", async () => {
    expect(await project.ok("refresh", "--yes", "--skip-preview")).toContain("3 unchanged");
    expect(await project.up("--refresh")).toContain("3 unchanged");
    expect((await project.export()).names).toEqual(["one", "two"]);
    expect(await project.json("stack", "output", "--json")).toEqual({ one: "a", hush: "[secret]" });
  });

  it("change what changed", async () => {
    await setProgram("b", "b");
    expect(await project.ok("preview", "--diff")).toContain("~ 2 to update");
    expect(await project.up()).toContain("~ 2 updated");
    expect((await project.export()).resource("two").outputs).toMatchObject({
      input: { "of one": "b", own: "b" },
    });
    expect(await project.json("stack", "output", "--json")).toMatchObject({ one: "b" });
  });

  it("change only what --target names", async () => {
    await setProgram("c", "c");
    const before = await project.export();
    expect(await project.up("--target", before.urn("one"))).toContain("~ 1 updated");
    const after = await project.export();
    expect(after.resource("one").outputs).toMatchObject({ input: "c" });
    expect(after.resource("two").outputs).toMatchObject({ input: { "of one": "b", own: "b" } });
    expect(await project.up()).toContain("~ 1 updated");
  });

  it("follow a plan file, and refuse to leave it", async () => {
    await setProgram("c", "d");
    await project.ok("preview", "--save-plan", "plan.json");
    await setProgram("e", "e");
    expect(await project.fails("up", "--yes", "--skip-preview", "--plan", "plan.json")).toContain(
      "violates plan",
    );
    await setProgram("c", "d");
    expect(await project.up("--plan", "plan.json")).toContain("~ 1 updated");
    expect((await project.export()).resource("two").outputs).toMatchObject({ input: { own: "d" } });
  });

  it("are all in the history, newest first", async () => {
    const entries = await history();
    expect(entries.map(({ version }) => version)).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1]);
    expect(entries.map(({ kind }) => kind)).toEqual([
      ...Array(6).fill("update"),
      "refresh",
      "update",
      "update",
    ]);
    expect(entries.map(({ result }) => result)).toEqual([
      "succeeded",
      "failed",
      ...Array(7).fill("succeeded"),
    ]);
    const page: HistoryEntry[] = await project.json(
      "stack",
      "history",
      "--json",
      "--page-size",
      "4",
      "--page",
      "2",
    );
    expect(page.map(({ version }) => version)).toEqual([5, 4, 3, 2]);
    expect(await project.ok("stack", "history")).toContain("first of all");
  });

  it("leave every version of the state to be looked at", async () => {
    expect((await project.export("--version", "1")).resource("one").outputs).toMatchObject({ input: "a" });
    expect((await project.export("--version", "5")).resource("one").outputs).toMatchObject({ input: "b" });
    expect(await project.fails("stack", "export", "--version", "99")).toContain("[404]");
  });
});

describePulumi("a state that is edited by hand", () => {
  const world = useWorld();
  let project: Project;

  /** Exports, imports what came out, exports again. */
  const roundTrip = async (...args: string[]) => {
    const before = await project.export(...args);
    await project.write("state.json", before.text);
    await project.ok("stack", "import", "--file", "state.json");
    return { before: before.text, after: (await project.export(...args)).text };
  };

  beforeAll(async () => {
    project = await stashProject(world().terminal, "shop", {
      stashes: { first: "a", third: "c" },
      outputs: { kept: ref("first.output") },
    });
    await project.ok("stack", "init", "dev");
    await project.up();
  });

  it("is the same bytes after export, import and export", async () => {
    const { before, after } = await roundTrip();
    expect(after).toBe(before);
    expect(await project.up("--expect-no-changes")).toContain("3 unchanged");
    const entries: HistoryEntry[] = await project.json("stack", "history", "--json");
    expect(entries.map(({ kind }) => kind)).toEqual(["update", "import", "update"]);
  });

  it("is the same with secrets, which the CLI encrypts anew on import", async () => {
    const stashes = { first: "a", second: { "fn::secret": "b" }, third: "c" };
    await project.write(
      "Pulumi.yaml",
      stashYaml("shop", { stashes, outputs: { kept: ref("first.output") } }),
    );
    await project.up();
    const sealed = await roundTrip();
    const masked = (text: string) => text.replaceAll(/"ciphertext": "[^"]+"/g, "…");
    expect(masked(sealed.after)).toBe(masked(sealed.before));
    const open = await roundTrip("--show-secrets");
    expect(open.after).toBe(open.before);
    expect((await project.export()).text).not.toContain("plaintext");
  });

  it("survives the import of rubbish", async () => {
    const before = await project.export();
    for (const rubbish of ["", "{", '{"version":3}', '{"version":99,"deployment":{}}']) {
      await project.write("rubbish.json", rubbish);
      await project.fails("stack", "import", "--file", "rubbish.json");
    }
    expect((await project.export()).text).toBe(before.text);
  });

  it("can be given to a new stack", async () => {
    await project.write(
      "state.json",
      (await project.export()).text
        .replaceAll("urn:pulumi:dev::", "urn:pulumi:copy::")
        .replaceAll("shop-dev", "shop-copy"),
    );
    await project.ok("stack", "init", "copy");
    await project.ok("stack", "import", "--file", "state.json");
    expect((await project.export()).names.toSorted()).toEqual(["first", "second", "third"]);
    await project.ok("stack", "rm", "copy", "--yes", "--force");
    await project.ok("stack", "select", "dev");
  });

  it("loses a resource by `state delete`, which the next up makes again", async () => {
    await project.ok("state", "delete", (await project.export()).urn("first"), "--yes");
    expect((await project.export()).names.toSorted()).toEqual(["second", "third"]);
    expect(await project.up()).toMatch(/\+ 1 created/);
  });

  it("has a resource renamed", async () => {
    const urn = (await project.export()).urn("third");
    await project.ok("state", "rename", urn, "last", "--yes");
    expect((await project.export()).names).toContain("last");
    await project.write("Pulumi.yaml", (await project.read("Pulumi.yaml")).replace('"third"', '"last"'));
    expect(await project.up("--expect-no-changes")).toContain("4 unchanged");
  });

  it("gives a resource to another stack", async () => {
    await project.ok("stack", "init", "other", "--no-select");
    const urn = (await project.export()).urn("second");
    const places = ["--source", "dev", "--dest", "other", "--yes"];
    expect(await project.ok("state", "move", ...places, urn)).toContain("Successfully moved");
    expect((await project.export()).names).not.toContain("second");
    expect((await project.export("--stack", "other")).names).toEqual(["second"]);
    expect((await project.export("--stack", "other", "--show-secrets")).text).toContain(
      '"plaintext": "\\"b\\""',
    );
    expect(await project.up()).toContain("+ 1 created");
  });

  it("has a resource protected, which destroy then refuses", async () => {
    const urn = (await project.export()).urn("first");
    await project.ok("state", "protect", urn, "--yes");
    expect((await project.export()).resource("first").protect).toBe(true);
    expect(await project.fails("destroy", "--yes", "--skip-preview")).toContain("cannot be deleted");
    await project.ok("state", "unprotect", urn, "--yes");
    expect((await project.export()).resource("first").protect ?? false).toBe(false);
  });

  it("is destroyed", async () => {
    expect(await project.ok("destroy", "--yes", "--skip-preview")).toMatch(/- \d deleted/);
    expect((await project.export()).resources).toEqual([]);
  });
});
