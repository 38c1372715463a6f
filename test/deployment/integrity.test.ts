import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { DocumentSummary } from "../../server/deployment/document.ts";
import { readDocumentBytes } from "../../server/deployment/document.ts";
import { readGoldens } from "./goldens.ts";
import { bytes } from "./support.ts";

const A = "urn:pulumi:d::p::t:m:A::a";
const B = "urn:pulumi:d::p::t:m:A::b";
const PROVIDER = "urn:pulumi:d::p::pulumi:providers:aws::default";

type Resource = Record<string, unknown>;

const a: Resource = { urn: A, custom: false, type: "t:m:A" };
const b: Resource = { urn: B, custom: false, type: "t:m:A" };
const provider: Resource = { urn: PROVIDER, custom: true, id: "x", type: "pulumi:providers:aws" };

async function summaryOf(deployment: object): Promise<DocumentSummary> {
  return (await readDocumentBytes("untyped", bytes({ version: 3, deployment }))).result.summary;
}

async function codes(resources: unknown, others: object = {}): Promise<string[]> {
  return (await summaryOf({ ...others, resources })).problems.map((problem) => problem.code);
}

describe("the integrity check", () => {
  it("finds nothing wrong with a sound state", async () => {
    const sound = [
      provider,
      a,
      {
        ...b,
        custom: true,
        id: "",
        parent: A,
        dependencies: [A],
        propertyDependencies: { k: [A], none: [] },
      },
      { ...a, delete: true, deletedWith: B, replaceWith: [A, B], provider: `${PROVIDER}::x` },
      { ...a, delete: true, parent: null, dependencies: null, propertyDependencies: { k: null } },
    ];
    expect(await codes(sound, { manifest: { time: "x", magic: "", version: "" } })).toEqual([]);
  });

  it("wants the manifest's magic to be the hash of its version", async () => {
    const version = "v3.260.0";
    const magic = createHash("sha256").update(version).digest("hex");
    expect(await codes([], { manifest: { magic, version } })).toEqual([]);
    expect(await codes([], { manifest: { magic, version: "v3.260.1" } })).toEqual(["manifest_magic"]);
    expect(await codes([], { manifest: { magic: "", version } })).toEqual(["manifest_magic"]);
    expect(await codes([], { manifest: { magic, version: "" } })).toEqual(["manifest_magic"]);
  });

  it.each([
    ["no urn", [{ ...a, urn: undefined }], "missing_urn"],
    ["no type", [{ ...a, type: "" }], "missing_type"],
    ["an id without custom", [{ ...a, id: "x" }], "id_without_custom"],
    ["a dependency that is a number", [{ ...a, dependencies: [1] }], "wrong_type"],
    ["a urn that is a number", [{ ...a, urn: 1 }], "wrong_type"],
    ["an unknown provider", [{ ...a, provider: `${PROVIDER}::x` }], "provider_unknown"],
    ["a provider that comes later", [{ ...a, provider: `${PROVIDER}::x` }, provider], "provider_unknown"],
    ["the provider's other id", [provider, { ...a, provider: `${PROVIDER}::y` }], "provider_unknown"],
    ["a provider that is no provider", [a, { ...b, provider: `${A}::x` }], "provider_malformed"],
    ["a provider reference without an id", [{ ...a, provider: "x" }], "provider_malformed"],
    ["a provider under another type's URN", [{ ...provider, urn: A }], "provider_not_referenceable"],
    ["a parent that is not there", [{ ...a, parent: B }], "parent_missing"],
    ["a parent that comes later", [{ ...a, parent: B }, b], "parent_missing"],
    ["itself as a dependency", [{ ...a, dependencies: [A] }], "dependency_missing"],
    ["a dependency that comes later", [{ ...a, dependencies: [B] }, b], "dependency_missing"],
    [
      "a property dependency that is not there",
      [{ ...a, propertyDependencies: { k: [B] } }],
      "property_dependency_missing",
    ],
    ["deletedWith that is not there", [{ ...a, deletedWith: B }], "deleted_with_missing"],
    ["replaceWith that is not there", [{ ...a, replaceWith: [B] }], "replace_with_missing"],
    ["two live resources of one URN", [a, { ...a, delete: true }, a], "duplicate_urn"],
  ])("finds %s", async (_what, resources, code) => {
    expect(await codes(resources)).toContain(code);
  });

  it("lets a resource that waits for its replacement name a provider that is gone", async () => {
    expect(await codes([{ ...a, provider: `${PROVIDER}::x`, pendingReplacement: true }])).toEqual([]);
  });

  it("finds snippets without or with the same uuid", async () => {
    const snippets = [{ uuid: "1" }, { uuid: "1" }, {}, { uuid: "2" }];
    expect(await codes([], { snippets })).toEqual(["snippet_uuid", "snippet_uuid"]);
  });

  it("tells a resource that comes later from one that is missing, by URN and without properties", async () => {
    const secret = { inputs: { password: "hunter2" } };
    const { problems } = await summaryOf({
      resources: [{ ...a, ...secret, parent: B, dependencies: ["gone"] }, b],
    });
    expect(problems.map((problem) => problem.message)).toEqual([
      `The resource ${A} names as parent ${B}, which comes later in the list.`,
      `The resource ${A} names as dependency gone, which is not in the list.`,
    ]);
  });

  it("counts all problems and keeps twenty", async () => {
    const resources = Array.from({ length: 300 }, () => ({ ...a, delete: true, parent: "gone" }));
    const summary = await summaryOf({ resources });
    expect(summary.problemCount).toBe(300);
    expect(summary.problems.length).toBe(20);
  });

  it.each([[{}], ["x"], [3]])("does not take %j for a list of resources", async (resources) => {
    expect(await codes(resources)).toEqual(["wrong_type"]);
  });

  it("counts what a state holds", async () => {
    const summary = await summaryOf({
      secrets_providers: { type: "service", state: {} },
      resources: [a, { ...a, delete: true }, b],
      pending_operations: [{ resource: a, type: "creating" }],
    });
    expect(summary).toMatchObject({ resourceCount: 2, resourceTotal: 3, pendingOperationCount: 1 });
    expect(summary.secretsProviderType).toBe("service");
  });
});

describe("the integrity check on the engine's own states", () => {
  it("finds no fault in any state at the end of its journals", async () => {
    const faulty: string[] = [];
    for (const golden of readGoldens()) {
      const last = golden.expected.at(-1);
      if (last === undefined) continue;
      const { problems } = await summaryOf(last.deployment);
      if (problems.length > 0) faulty.push(`${golden.name}: ${problems[0]?.message}`);
    }
    expect(faulty).toEqual([]);
  });
});
