/** The Automation API of @pulumi/pulumi, which runs the CLI and reads what it prints. */
import { Stash, secret } from "@pulumi/pulumi";
import {
  ConcurrentUpdateError,
  type InlineProgramArgs,
  LocalWorkspace,
  type Stack,
  StackAlreadyExistsError,
  StackNotFoundError,
} from "@pulumi/pulumi/automation/index.js";
import { beforeAll, expect, it } from "vitest";
import { StackClient } from "../../support/client.ts";
import { describePulumi } from "./pulumi.ts";
import { useWorld } from "./world.ts";

describePulumi("the Automation API", () => {
  const world = useWorld();
  let value = "one";
  let stack: Stack;

  /** A program inside the test itself. */
  const program = async () => {
    const stash = new Stash("kept", { input: value });
    return { value: stash.input, hush: secret("quiet") };
  };
  const args: InlineProgramArgs = { projectName: "shop", stackName: "dev", program };

  const options = () => ({
    workDir: world().terminal.home,
    pulumiHome: `${world().terminal.home}/.pulumi`,
    envVars: { ...world().terminal.env, PULUMI_BACKEND_URL: world().url },
  });

  beforeAll(async () => {
    // The Automation API looks for `pulumi` in this process's PATH.
    process.env.PATH = world().terminal.env.PATH ?? "";
    stack = await LocalWorkspace.createStack(args, options());
  });

  it("knows a stack that exists from one that doesn't", async () => {
    await expect(LocalWorkspace.createStack(args, options())).rejects.toBeInstanceOf(StackAlreadyExistsError);
    const other = { ...args, stackName: "nowhere" };
    await expect(LocalWorkspace.selectStack(other, options())).rejects.toBeInstanceOf(StackNotFoundError);
    expect(await stack.workspace.whoAmI()).toMatchObject({ user: "admin" });
  });

  it("keeps configuration", async () => {
    await stack.setAllConfig({ plain: { value: "a" }, pin: { value: "b", secret: true } });
    expect(await stack.getAllConfig()).toEqual({
      "shop:plain": { value: "a", secret: false },
      "shop:pin": { value: "b", secret: true },
    });
  });

  it("runs updates and tells what they did", async () => {
    const preview = await stack.preview();
    expect(preview.changeSummary).toEqual({ create: 2 });
    const up = await stack.up({ message: "from a program" });
    expect(up.summary).toMatchObject({
      kind: "update",
      result: "succeeded",
      version: 1,
      message: "from a program",
    });
    expect(up.summary.resourceChanges).toEqual({ create: 2 });
    expect(up.outputs).toEqual({
      value: { value: "one", secret: false },
      hush: { value: "quiet", secret: true },
    });
    value = "two";
    const again = await stack.up();
    expect(again.summary).toMatchObject({ version: 2, resourceChanges: { same: 1, update: 1 } });
    expect(await stack.outputs()).toMatchObject({ value: { value: "two" } });
  });

  it("refreshes, and reads the history", async () => {
    const { summary } = await stack.refresh();
    expect(summary).toMatchObject({ kind: "refresh", result: "succeeded", version: 3 });
    const history = await stack.history();
    expect(history.map(({ kind, version }) => `${version} ${kind}`)).toEqual([
      "3 refresh",
      "2 update",
      "1 update",
    ]);
    expect(history[0]?.config["shop:pin"]).toEqual({ value: "b", secret: true });
    expect(await stack.history(1, 2)).toMatchObject([{ version: 2 }]);
  });

  it("recognises that another update is running", async () => {
    const other = await new StackClient(world(), "shop", "dev").begin();
    await expect(stack.up()).rejects.toBeInstanceOf(ConcurrentUpdateError);
    await expect(stack.refresh()).rejects.toBeInstanceOf(ConcurrentUpdateError);
    expect(await stack.info()).toMatchObject({ result: "in-progress", version: 4 });
    await stack.cancel();
    expect(await other.complete()).toMatchObject({ status: 403 });
    expect((await stack.up()).summary).toMatchObject({ result: "succeeded", version: 5 });
  });

  it("exports and imports", async () => {
    const state = await stack.exportStack();
    await stack.importStack(state);
    expect((await stack.exportStack()).deployment.resources).toHaveLength(state.deployment.resources.length);
    expect((await stack.up()).summary.resourceChanges).toEqual({ same: 2 });
  });

  it("tags, lists, renames", async () => {
    await stack.workspace.setTag("dev", "stage", "test");
    expect(await stack.workspace.getTag("dev", "stage")).toBe("test");
    await stack.workspace.removeTag("dev", "stage");
    expect(await stack.workspace.listTags("dev")).not.toHaveProperty("stage");
    expect(await stack.workspace.listStacks()).toMatchObject([
      { name: "dev", resourceCount: 3, updateInProgress: false },
    ]);
  });

  it("destroys and removes", async () => {
    const { summary } = await stack.destroy();
    expect(summary).toMatchObject({ kind: "destroy", result: "succeeded", resourceChanges: { delete: 2 } });
    await stack.workspace.removeStack("dev");
    await expect(LocalWorkspace.selectStack(args, options())).rejects.toBeInstanceOf(StackNotFoundError);
  });
});
