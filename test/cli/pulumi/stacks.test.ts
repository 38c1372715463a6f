/** What a person does with stacks apart from updating them. */
import { expect, it } from "vitest";
import { send } from "../../support/client.ts";
import { ref, stashProject, stashYaml } from "./programs.ts";
import { describePulumi } from "./pulumi.ts";
import { type Project, Terminal } from "./terminal.ts";
import { useWorld } from "./world.ts";

describePulumi("login", () => {
  const world = useWorld();

  it("says who one is", async () => {
    const project = await world().terminal.project("anywhere");
    expect(await project.ok("whoami")).toBe("admin\n");
    expect(await project.json("whoami", "--json")).toMatchObject({ user: "admin", organizations: ["main"] });
    expect(await project.ok("org", "get-default")).toContain("main");
  });

  it("is refused with a token that nobody gave out", async () => {
    const stranger = await Terminal.open({ PULUMI_ACCESS_TOKEN: "sth_not_a_token_of_this_server" });
    try {
      const project = await stranger.project("anywhere");
      expect(await project.fails("login", world().url)).toContain("No credentials provided or are invalid");
    } finally {
      await stranger.close();
    }
  });
});

describePulumi("a token of one's own", () => {
  const world = useWorld();

  const admin = async (method: string, path: string, body: unknown): Promise<{ token: string }> => {
    const answer = await send(world(), method, `/api/admin/v1${path}`, body);
    expect(answer.status).toBeLessThan(300);
    return answer.body;
  };

  it("lets a viewer look, and change nothing", async () => {
    const owned = await stashProject(world().terminal, "shop", { stashes: { one: "a" } });
    await owned.ok("stack", "init", "dev");
    await owned.up();
    await admin("POST", "/users", { login: "vera" });
    await admin("PUT", "/organizations/main/members/vera", { role: "viewer" });
    const { token } = await admin("POST", "/tokens", { name: "laptop", user: "vera" });
    const vera = await Terminal.open({ PULUMI_ACCESS_TOKEN: token });
    try {
      await vera.login(world().url);
      const project = await stashProject(vera, "shop", { stashes: { one: "b" } });
      expect(await project.ok("whoami")).toBe("vera\n");
      await project.ok("stack", "select", "dev");
      expect(await project.ok("preview")).toContain("~ 1 to update");
      expect(await project.fails("up", "--yes", "--skip-preview")).toContain(
        "[403] Your role does not allow this",
      );
      expect(await project.fails("stack", "rm", "--yes", "--force")).toContain("[403]");
      expect((await project.export()).names).toEqual(["one"]);
    } finally {
      await vera.close();
    }
  });
});

describePulumi("a stack from its creation to its end", () => {
  const world = useWorld();
  let project: Project;

  it("is made with the service's secrets provider, and once only", async () => {
    project = await stashProject(world().terminal, "shop", {
      config: { note: { type: "string" }, pin: { type: "string", secret: true } },
      stashes: { plain: ref("note"), hidden: ref("pin") },
      outputs: { note: ref("plain.output"), pin: ref("hidden.output") },
    });
    expect((await project.run("stack", "init", "dev")).output).toContain("Created stack 'dev'");
    expect(await project.fails("stack", "init", "dev")).toMatch(/stack 'main\/shop\/dev' already exists/);
    expect(await project.fails("stack", "select", "prod")).toContain("no stack named 'prod' found");
  });

  it("keeps configuration, and secret values only encrypted", async () => {
    await project.ok("config", "set", "note", "for everybody");
    await project.ok("config", "set", "--secret", "pin", "rose7");
    expect(await project.read("Pulumi.dev.yaml")).toMatch(/secure: \S{20}/);
    expect(await project.read("Pulumi.dev.yaml")).not.toContain("rose7");
    const masked = await project.json("config", "--json");
    expect(masked["shop:note"]).toMatchObject({ value: "for everybody" });
    expect(masked["shop:pin"].value).toBeUndefined();
    const shown = await project.json("config", "--json", "--show-secrets");
    expect(shown["shop:pin"]).toMatchObject({ value: "rose7", secret: true });
  });

  it("has outputs, secret ones masked", async () => {
    await project.up();
    expect(await project.json("stack", "output", "--json")).toEqual({
      note: "for everybody",
      pin: "[secret]",
    });
    const shown = await project.json("stack", "output", "--json", "--show-secrets");
    expect(shown).toEqual({ note: "for everybody", pin: "rose7" });
    expect((await project.export()).text).not.toContain('"rose7"');
    expect((await project.export("--show-secrets")).text).toContain('\\"rose7\\"');
  });

  it("is listed with the number of its resources", async () => {
    await project.ok("stack", "init", "empty", "--no-select");
    const stacks: { name: string; current: boolean; resourceCount?: number }[] = await project.json(
      "stack",
      "ls",
      "--json",
    );
    expect(stacks.find(({ name }) => name === "dev")).toMatchObject({ current: true, resourceCount: 4 });
    expect(stacks.find(({ name }) => name === "empty")?.resourceCount).toBeUndefined();
    expect((await project.ok("stack", "ls")).split("\n").find((it) => it.startsWith("dev"))).toMatch(/ 4 /);
  });

  it("has tags, which can be taken off again", async () => {
    await project.ok("stack", "tag", "set", "owner", "team a");
    await project.ok("stack", "tag", "set", "stage", "test");
    expect(await project.ok("stack", "tag", "get", "owner")).toBe("team a\n");
    expect(await project.json("stack", "tag", "ls", "--json")).toMatchObject({
      stage: "test",
      "pulumi:project": "shop",
    });
    await project.ok("stack", "tag", "rm", "owner");
    expect(await project.json("stack", "tag", "ls", "--json")).not.toHaveProperty("owner");
    await project.fails("stack", "tag", "get", "owner");
    const tagged: { name: string }[] = await project.json("stack", "ls", "--json", "--tag", "stage=test");
    expect(tagged.map(({ name }) => name)).toEqual(["dev"]);
  });

  it("is renamed with all that is in it: nothing to change, secrets as before", async () => {
    await project.ok("stack", "rename", "live");
    expect(await project.fails("stack", "select", "dev")).toContain("no stack named 'dev' found");
    const state = await project.export();
    expect(state.urn("plain")).toBe("urn:pulumi:live::shop::pulumi:index:Stash::plain");
    expect(state.urn("shop-live")).toBe("urn:pulumi:live::shop::pulumi:pulumi:Stack::shop-live");
    expect(state.text).not.toContain("urn:pulumi:dev::");
    expect(state.document.deployment.secrets_providers.state).toMatchObject({
      project: "shop",
      stack: "live",
    });
    expect(await project.ok("preview", "--expect-no-changes")).toContain("3 unchanged");
    expect(await project.up("--expect-no-changes")).toContain("3 unchanged");
    expect(await project.json("stack", "output", "--json", "--show-secrets")).toMatchObject({ pin: "rose7" });
    expect(await project.json("config", "--json", "--show-secrets")).toMatchObject({
      "shop:pin": { value: "rose7" },
    });
  });

  it("is renamed into another project", async () => {
    await project.ok("stack", "rename", "main/store/live");
    await project.write("Pulumi.yaml", (await project.read("Pulumi.yaml")).replace('"shop"', '"store"'));
    await project.write(
      "Pulumi.live.yaml",
      (await project.read("Pulumi.live.yaml")).replaceAll("shop:", "store:"),
    );
    await project.ok("stack", "select", "live");
    expect((await project.export()).urn("plain")).toBe("urn:pulumi:live::store::pulumi:index:Stash::plain");
    expect(await project.json("stack", "tag", "ls", "--json")).toMatchObject({ "pulumi:project": "store" });
    expect(await project.up("--expect-no-changes")).toContain("3 unchanged");
  });

  it("changes its secrets provider to a passphrase and back", async () => {
    // The new passphrase is asked for twice, whatever the environment says.
    const secretive = project.with(
      { PULUMI_CONFIG_PASSPHRASE: "correct horse" },
      "correct horse\n".repeat(2),
    );
    const secrets = async () => [
      await secretive.json("stack", "output", "--json", "--show-secrets"),
      (await secretive.json("config", "--json", "--show-secrets"))["store:pin"].value,
    ];
    await secretive.ok("stack", "change-secrets-provider", "passphrase");
    expect((await secretive.export()).document.deployment.secrets_providers.type).toBe("passphrase");
    expect(await secrets()).toEqual([{ note: "for everybody", pin: "rose7" }, "rose7"]);
    await project.fails("stack", "output", "--show-secrets");
    expect(await secretive.up("--expect-no-changes")).toContain("3 unchanged");
    await secretive.ok("stack", "change-secrets-provider", "default");
    expect((await project.export()).document.deployment.secrets_providers.type).toBe("service");
    expect(await project.json("stack", "output", "--json", "--show-secrets")).toMatchObject({ pin: "rose7" });
    expect(await project.up("--expect-no-changes")).toContain("3 unchanged");
  });

  it("gives its outputs to other stacks, the secret ones still secret", async () => {
    const reader = await stashProject(world().terminal, "reader", {
      stashes: {},
      resources: { other: { type: "pulumi:pulumi:StackReference", properties: { name: "main/store/live" } } },
      outputs: { note: ref("other.outputs.note"), pin: ref("other.outputs.pin") },
    });
    await reader.ok("stack", "init", "dev");
    await reader.up();
    expect(await reader.json("stack", "output", "--json")).toEqual({
      note: "for everybody",
      pin: "[secret]",
    });
    expect(await reader.json("stack", "output", "--json", "--show-secrets")).toMatchObject({ pin: "rose7" });
    await reader.ok("destroy", "--yes", "--skip-preview", "--remove");
    expect(await reader.fails("stack", "select", "dev")).toContain("no stack named");
  });

  it("is not removed while it has resources", async () => {
    expect(await project.fails("stack", "rm", "--yes")).toMatch(
      /'live' still has resources; removal rejected[\s\S]*stack rm --force/,
    );
    expect((await project.export()).names.toSorted()).toEqual(["hidden", "plain"]);
  });

  it("is destroyed and removed", async () => {
    expect(await project.ok("destroy", "--yes", "--skip-preview")).toContain("3 deleted");
    expect((await project.export()).resources).toEqual([]);
    await project.ok("stack", "rm", "--yes");
    expect(await project.fails("stack", "select", "live")).toContain("no stack named");
    const left: { name: string }[] = await project.json("stack", "ls", "--all", "--json");
    expect(left.map(({ name }) => name)).toEqual(["main/shop/empty"]);
  });

  it("can start with a passphrase, which the server never learns", async () => {
    const secretive = project.with({ PULUMI_CONFIG_PASSPHRASE: "correct horse" });
    await secretive.write(
      "Pulumi.yaml",
      stashYaml("diary", { stashes: { page: { "fn::secret": "dear diary" } } }),
    );
    await secretive.ok("stack", "init", "mine", "--secrets-provider", "passphrase");
    await secretive.up();
    expect((await secretive.export()).document.deployment.secrets_providers.type).toBe("passphrase");
    expect((await secretive.export("--show-secrets")).text).toContain("dear diary");
    await secretive.ok("stack", "rm", "--yes", "--force");
  });
});
