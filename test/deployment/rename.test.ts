import { describe, expect, it } from "vitest";
import { readDocumentBytes } from "../../server/deployment/document.ts";
import { renameDocument, renamedUrn } from "../../server/deployment/rename.ts";
import type { GoldenDeployment } from "./goldens.ts";
import { readGoldens } from "./goldens.ts";
import { bytes, chunks, collect } from "./support.ts";

const FROM = { org: "acme", project: "shop", stack: "dev" };
const TO = { org: "other", project: "store", stack: "prod" };
const MARKER = "4dabf18193072939515e22adb298388d";
const REFERENCE = "5cf8f73096256a8f31e491e813e4eb8e";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";
const OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4";

const urn = (name: string): string => `urn:pulumi:dev::shop::t:m:A::${name}`;
const renamed = (name: string): string => `urn:pulumi:prod::store::t:m:A::${name}`;

async function rename(
  document: unknown,
  to: typeof TO | typeof FROM = TO,
  chunkBytes: number | null = null,
): Promise<string> {
  return collect(renameDocument(chunks(bytes(document), chunkBytes), FROM, to));
}

/** A resource with a URN in every place; `u` makes them. */
function resource(u: (name: string) => string): object {
  const reference = { [MARKER]: REFERENCE, urn: u("r"), id: "i", packageVersion: "" };
  const plaintext = JSON.stringify({ deep: [{ [MARKER]: REFERENCE, urn: u("r") }, "<"] });
  return {
    urn: u("a::b"),
    custom: true,
    id: urn("an id stays"),
    type: "t:m:A",
    parent: u("p"),
    provider: `${u("q")}::id`,
    dependencies: [u("d"), u("e")],
    propertyDependencies: { x: [u("d")], y: [] },
    deletedWith: u("w"),
    replaceWith: [u("w")],
    viewOf: u("v"),
    aliases: [u("z")],
    inputs: { text: urn("text stays"), list: [[reference]], urn: urn("no marker") },
    outputs: {
      secret: { [MARKER]: SECRET, plaintext },
      opaque: { [MARKER]: SECRET, ciphertext: `v1:${REFERENCE}` },
      value: { value: { x: reference }, dependencies: [u("d")], [MARKER]: OUTPUT },
    },
    replacementTrigger: { urn: u("t"), [MARKER]: REFERENCE },
  };
}

function document(u: (name: string) => string, service: object): object {
  return {
    version: 3,
    deployment: {
      pending_operations: [{ type: "creating", resource: resource(u) }],
      secrets_providers: { state: service, type: "service" },
      resources: [resource(u), resource(u)],
      snippets: [{ uuid: "1", references: { x: urn("snippets are left alone") } }],
    },
  };
}

describe("renaming a stack", () => {
  it("rewrites every URN and the secrets provider, and nothing else", async () => {
    const service = { url: "https://x", owner: "acme", project: "shop", stack: "dev" };
    const expected = document(renamed, { ...service, owner: "other", project: "store", stack: "prod" });
    for (const chunkBytes of [null, 1, 13, 500]) {
      expect(JSON.parse(await rename(document(urn, service), TO, chunkBytes))).toEqual(expected);
    }
  });

  it("keeps the owner when no organization is given", async () => {
    const service = { owner: "acme", project: "shop", stack: "dev" };
    const to = { project: "store", stack: "prod" };
    const text = await collect(renameDocument(chunks(bytes(document(urn, service))), FROM, to));
    expect(text).toContain('{"owner":"acme","project":"store","stack":"prod"}');
  });

  it("renames the root stack's own name, wherever its URN stands", async () => {
    const root = "urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev";
    const text = await rename({
      version: 3,
      deployment: { resources: [{ urn: root }, { urn: urn("a"), parent: root }] },
    });
    expect(text.match(/urn:pulumi:prod::store::pulumi:pulumi:Stack::store-prod"/g)).toHaveLength(2);
  });

  it.each([
    "urn:pulumi:dev::other::t:m:A::x",
    "urn:pulumi:prod::shop::t:m:A::x",
    "urn:pulumi:dev2::shop::t:m:A::x",
    "urn:pulumi:dev::shop::t:m:A",
    "dev::shop",
    "",
  ])("leaves %j as it is", (text) => {
    expect(renamedUrn(text, FROM, TO)).toBe(text);
  });

  it.each([
    { type: "service", state: { owner: "acme", project: "shop", stack: "another" } },
    { type: "service", state: { owner: "else", project: "shop", stack: "dev" } },
    { type: "service", state: { project: "shop" } },
    { type: "passphrase", state: { owner: "acme", project: "shop", stack: "dev" } },
    { type: "service" },
    null,
  ])("leaves another's secrets provider as it is: %j", async (provider) => {
    const text = JSON.stringify({ version: 3, deployment: { secrets_providers: provider } });
    expect(await rename(text)).toBe(text);
  });

  it("keeps all other bytes", async () => {
    const awkward = (u: string): string =>
      `{"version" : 3,"later":[1.0], "deployment":{ "x":1e2,"resources":[ {"urn" : "${u}", "big":12345678901234567890,` +
      '"outputs":{"f":1.0,"s":"\\u003cé\\/", "d":{"a":1,"a":2}}} , null,3 ],"pending_operations":null}}\n';
    expect(await rename(awkward(urn("caf\\u00e9")), TO, 7)).toBe(awkward(renamed("café")));
    const other = awkward("urn:pulumi:x::y::t:m:A::a");
    expect(await rename(other, TO, 7)).toBe(other);
    expect(await rename("null")).toBe("null");
  });

  it("there and back gives every engine state again, sound in between", async () => {
    const from = { org: "o", project: "test", stack: "test" };
    for (const golden of readGoldens()) {
      const last = golden.expected.at(-1);
      // The engine's tests name their root stack freely; any rename gives it the name it should have.
      const scenario = bytes({ version: 4, deployment: last?.deployment });
      const text = await collect(renameDocument(chunks(scenario), from, from));
      const there = await collect(renameDocument(chunks(bytes(text)), from, TO));
      const { deployment } = JSON.parse(there) as { deployment: GoldenDeployment };
      for (const { urn: now } of deployment.resources ?? [])
        expect(now).not.toMatch(/^urn:pulumi:test::test::/);
      expect((await readDocumentBytes("untyped", bytes(there))).result.summary.problems).toEqual([]);
      const back = await collect(renameDocument(chunks(bytes(there)), TO, from));
      expect(JSON.parse(back), golden.name).toEqual(JSON.parse(text));
    }
  });
});
