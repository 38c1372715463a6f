import { describe, expect, it } from "vitest";
import { StackClient } from "../support/client.ts";
import {
  documentOf,
  freshStack,
  resource,
  rootResource,
  serviceProvider,
  up,
  urnOf,
} from "../support/journal.ts";
import { shareTestServer } from "../support/server.ts";

const server = shareTestServer();

const rename = (stack: StackClient, newName: string, newProject = stack.project) =>
  stack.send("POST", "/rename", { newName, newProject });

const at = (stack: string, project = "shop") => new StackClient(server(), project, stack);

describe("stack rename", () => {
  it("rewrites every name in the state together with the stack's own", async () => {
    const stack = await freshStack(server(), { tags: { "pulumi:project": "shop", team: "core" } });
    const root = rootResource(stack);
    const providerType = "pulumi:providers:test";
    const provider = resource(stack, "p", { urn: urnOf(stack, providerType, "p"), type: providerType });
    const a = resource(stack, "a", { parent: root.urn, provider: `${provider.urn}::id-p` });
    const b = resource(stack, "b", {
      dependencies: [a.urn],
      propertyDependencies: { x: [a.urn] },
      deletedWith: a.urn,
    });
    await stack.import(documentOf([root, provider, a, b], { secrets_providers: serviceProvider(stack) }));
    expect(await rename(stack, "renamed-1", "store")).toMatchObject({ status: 204 });
    const renamed = at("renamed-1", "store");
    const { deployment } = await renamed.deployment();
    const urn = (type: string, name: string) => urnOf(renamed, type, name);
    const newA = urn("test:index:Thing", "a");
    const newProvider = urn("pulumi:providers:test", "p");
    expect(deployment.resources).toMatchObject([
      { urn: urn("pulumi:pulumi:Stack", "store-renamed-1") },
      { urn: newProvider },
      { urn: newA, parent: urn("pulumi:pulumi:Stack", "store-renamed-1"), provider: `${newProvider}::id-p` },
      { dependencies: [newA], propertyDependencies: { x: [newA] }, deletedWith: newA },
    ]);
    expect(deployment.secrets_providers).toEqual(serviceProvider(renamed));
    const { body } = await renamed.send("GET", "");
    expect(body).toMatchObject({ stackName: "renamed-1", projectName: "store" });
    expect(body.tags).toEqual({ "pulumi:project": "store", team: "core" });
    expect(await stack.send("GET", "")).toMatchObject({ status: 404 });
  });

  it("leaves another provider's state alone", async () => {
    const stack = await freshStack(server());
    const passphrase = { type: "passphrase", state: { salt: "s", project: "shop", stack: stack.stack } };
    await stack.import(documentOf([], { secrets_providers: passphrase }));
    await rename(stack, "renamed-2");
    expect((await at("renamed-2").deployment()).deployment.secrets_providers).toEqual(passphrase);
  });

  it("keeps id, history and ciphertexts, and lets the next update go on", async () => {
    const stack = await freshStack(server());
    await up(stack, ["a"]);
    const { id } = (await stack.send("GET", "")).body;
    const { ciphertext } = (await stack.send("POST", "/encrypt", { plaintext: "aGk=" })).body;
    await rename(stack, "renamed-3");
    const renamed = at("renamed-3");
    expect((await renamed.send("GET", "")).body.id).toBe(id);
    expect((await renamed.send("POST", "/decrypt", { ciphertext })).body).toEqual({ plaintext: "aGk=" });
    const kinds = (await renamed.history()).map((it) => it.kind);
    expect(kinds).toEqual(["rename", "update"]);
    const update = await renamed.begin();
    expect(update.version).toBe(3);
    await update.complete();
    const before = await renamed.deployment(1);
    expect(before.deployment.resources).toHaveLength(2);
  });

  it("works for a stack that was never updated", async () => {
    const stack = await freshStack(server());
    expect(await rename(stack, "renamed-4")).toMatchObject({ status: 204 });
    expect((await at("renamed-4").send("GET", "")).body).toMatchObject({ stackName: "renamed-4" });
  });

  it("frees the old name for a new stack, whose secrets are its own", async () => {
    const stack = await freshStack(server());
    const { ciphertext } = (await stack.send("POST", "/encrypt", { plaintext: "aGk=" })).body;
    await rename(stack, "renamed-5");
    await stack.init();
    expect(await stack.send("POST", "/decrypt", { ciphertext })).toMatchObject({ status: 400 });
  });

  it("takes an absent new project as the old one", async () => {
    const stack = await freshStack(server());
    expect(await stack.send("POST", "/rename", { newName: "renamed-6" })).toMatchObject({ status: 204 });
    expect(await at("renamed-6").send("GET", "")).toMatchObject({ status: 200 });
  });

  it("changes nothing when both names stay", async () => {
    const stack = await freshStack(server());
    await up(stack);
    expect(await rename(stack, stack.stack)).toMatchObject({ status: 204 });
    expect(await stack.history()).toHaveLength(1);
  });

  it("is refused when the target exists, and leaves both as they were", async () => {
    const stack = await freshStack(server());
    const other = await freshStack(server());
    await up(stack);
    expect(await rename(stack, other.stack)).toMatchObject({ status: 409, body: { code: 409 } });
    expect((await stack.deployment()).deployment.resources[0].urn).toBe(rootResource(stack).urn);
    expect((await other.send("GET", "")).body.version).toBe(0);
  });

  it("is refused while an update runs, and not by a preview", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    expect(await rename(stack, "renamed-7")).toMatchObject({ status: 409, body: { code: 409 } });
    await update.complete();
    await stack.begin("preview", { dryRun: true });
    expect(await rename(stack, "renamed-7")).toMatchObject({ status: 204 });
  });

  it("is 404 for a stack that is not there", async () => {
    expect(await rename(at("nothing"), "x")).toMatchObject({ status: 404, body: { code: 404 } });
  });

  it.each(["a/b", "..", "a b", "x".repeat(101), "a\u0000"])("refuses the name %j", async (name) => {
    const stack = await freshStack(server());
    expect(await rename(stack, name)).toMatchObject({ status: 400, body: { code: 400 } });
    expect(await rename(stack, "fine", name)).toMatchObject({ status: 400, body: { code: 400 } });
    expect(await stack.send("GET", "")).toMatchObject({ status: 200 });
  });

  it("refuses what is no name at all", async () => {
    const stack = await freshStack(server());
    for (const body of [{ newName: 7 }, { newName: {} }, [], "x"])
      expect(await stack.send("POST", "/rename", JSON.stringify(body))).toMatchObject({ status: 400 });
  });
});
