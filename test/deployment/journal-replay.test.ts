import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ReplayError, replayJournal } from "../../server/deployment/journal.ts";
import { readGoldens } from "./goldens.ts";
import { batch, bytes, collect, entry, NOW, opener, replayText } from "./support.ts";

const STACK = "urn:pulumi:d::p::pulumi:pulumi:Stack::p-d";
const urn = (name: string, type = "t:m:A"): string => `urn:pulumi:d::p::${type}::${name}`;

type Json = Record<string, unknown>;
interface Document {
  version: number;
  features?: string[];
  deployment: {
    manifest: Json;
    resources?: (Json & { urn: string })[];
    pending_operations?: Json[];
    snippets?: Json[];
    extensions?: Json;
    secrets_providers?: Json;
  };
}

function resource(name: string, members: Json = {}): Json {
  return { urn: urn(name), custom: false, type: "t:m:A", ...members };
}

function base(...resources: Json[]): Uint8Array {
  const manifest = { time: "2026-01-01T00:00:00Z", magic: "", version: "" };
  return bytes({ version: 3, deployment: { manifest, resources } });
}

async function replay(document: Uint8Array | null, entries: readonly Json[]): Promise<Document> {
  const openBase = document === null ? null : opener(document);
  return JSON.parse((await replayText({ openBase, batches: [batch(entries)] })) ?? "null") as Document;
}

async function names(document: Uint8Array | null, entries: readonly Json[]): Promise<string[]> {
  const { deployment } = await replay(document, entries);
  return (deployment.resources ?? []).map((one) => one.urn.slice(urn("").length));
}

async function failure(document: Uint8Array | null, entries: readonly Json[]): Promise<ReplayError> {
  const thrown = await replay(document, entries).catch((error: unknown) => error);
  if (thrown instanceof ReplayError) return thrown;
  throw new Error(`expected a ReplayError, got ${JSON.stringify(thrown)}`);
}

async function warnings(document: Uint8Array | null, entries: readonly Json[]): Promise<readonly string[]> {
  const openBase = document === null ? null : opener(document);
  const replayed = await replayJournal({ openBase, batches: [batch(entries)], cliVersion: null, now: NOW });
  return replayed.kind === "changed" ? replayed.warnings : [];
}

describe("a replay that changes nothing", () => {
  const provider = '{ "type" : "service", "state": {"url":"u", "n":1.0} }';
  const document = bytes(`{"version":3,"deployment":{"secrets_providers":${provider}}}`);
  const announced = (state: string): Uint8Array =>
    bytes(
      '{"entries":[{"version":1,"kind":6,"sequenceID":1,"operationID":0,"removeOld":null,"removeNew":null,' +
        `"secretsProvider":{"type":"service","state":${state}}}]}`,
    );

  it("keeps the base when there are no entries, or none but the provider it has", async () => {
    expect(await replayText({ openBase: opener(document), batches: [] })).toBeNull();
    expect(await replayText({ openBase: null, batches: [batch([])] })).toBeNull();
    expect(
      await replayText({ openBase: opener(document), batches: [announced('{"url":"u","n":1.0}')] }),
    ).toBeNull();
  });

  it("takes another provider over, byte for byte", async () => {
    const text = await replayText({ openBase: opener(document), batches: [announced('{"url":"u","n":1}')] });
    expect(text).toContain('"secrets_providers":{"type":"service","state":{"url":"u","n":1}}');
    expect(await replayText({ openBase: null, batches: [announced("{}")] })).toContain(
      '"secrets_providers":{',
    );
  });
});

describe("what a replay writes", () => {
  it("starts with version and features and names the CLI in the manifest", async () => {
    const text = await replayText({
      batches: [batch([entry({ kind: 1, operationID: 1, state: resource("a") })])],
    });
    const magic = createHash("sha256").update("v3.260.0").digest("hex");
    const manifest = `{"time":"2026-01-02T03:04:05.678Z","magic":"${magic}","version":"v3.260.0"}`;
    expect(text?.startsWith(`{"version":3,"deployment":{"manifest":${manifest},`)).toBe(true);
    const anonymous = await replayText({ cliVersion: null, batches: [batch([entry({ kind: 2 })])] });
    expect(anonymous).toContain('"magic":"","version":""}');
  });

  it("keeps numbers, escapes, unknown members and order of all it does not change", async () => {
    const kept = (name: string): string =>
      `{ "urn":"${urn(name)}", "custom":false,"type":"t:m:A","future":{"x":[1.0 , 1e2]},` +
      '"outputs":{"big":12345678901234567890,"one":1.0,"s":"\\u003cé\\u00e9\\/😀"}}';
    const marked = kept("marked").replace(' "custom"', '"custom"').replace('{ "', '{"').replace(/}$/, "");
    const document =
      `{"version":3,"later":1.0,"deployment":{"future":[1.0],"resources":[${kept("b")} ,\n${kept("marked")}],` +
      '"metadata":{"integrity_error":{ "error":"x"}}}}';
    const state = kept("new");
    const added =
      `{"entries":[{"version":1,"kind":1,"sequenceID":1,"operationID":1,"removeOld":null,"removeNew":null,` +
      `"deleteOld":1,"state":${state}}]}`;
    for (const chunkBytes of [null, 1, 7, 100]) {
      const text = await replayText({
        openBase: opener(bytes(document), chunkBytes),
        batches: [bytes(added)],
      });
      expect(text).toContain(`"resources":[${state},${kept("b")},${marked},"delete":true}]`);
      expect(text).toContain('"metadata":{"integrity_error":{ "error":"x"}},"future":[1.0]},"later":1.0}');
    }
  });

  it("can be read more than once", async () => {
    const batches = [batch([entry({ kind: 1, operationID: 1, removeOld: 0, state: resource("new") })])];
    const openBase = opener(base(resource("a"), resource("b")));
    const replayed = await replayJournal({ openBase, batches, cliVersion: null, now: NOW });
    if (replayed.kind !== "changed") throw new Error("expected a change");
    expect(await collect(replayed.document())).toBe(await collect(replayed.document()));
  });

  it("comes in chunks of 64 KiB", async () => {
    const state = resource("a", { outputs: { x: "x".repeat(200_000) } });
    const batches = [batch([entry({ kind: 1, operationID: 1, state })])];
    const replayed = await replayJournal({ openBase: null, batches, cliVersion: null, now: NOW });
    if (replayed.kind !== "changed") throw new Error("expected a change");
    const sizes: number[] = [];
    for await (const chunk of replayed.document()) sizes.push(chunk.length);
    expect(sizes.slice(0, -1)).toEqual([65_536, 65_536, 65_536]);
  });

  it("carries byteString on from the base until a snapshot replaces it", async () => {
    const document = bytes({
      version: 4,
      features: ["byteString"],
      deployment: { resources: [resource("a")] },
    });
    expect((await replay(document, [entry({ kind: 2 })])).features).toEqual(["byteString"]);
    const newSnapshot = { manifest: {}, resources: [resource("a")] };
    expect((await replay(document, [entry({ kind: 5, newSnapshot })])).version).toBe(3);
  });
});

describe("the kinds of entries", () => {
  const ab = base(resource("a"), resource("b"));

  it("1: puts the new before the old and treats index 0 and operation 0 as what they are", async () => {
    const first = entry({ kind: 1, operationID: 0, state: resource("new") });
    expect(await names(ab, [first])).toEqual(["new", "a", "b"]);
    expect(await names(ab, [entry({ kind: 1, operationID: 5, removeOld: 0 })])).toEqual(["b"]);
    expect(await names(ab, [first, entry({ kind: 1, operationID: 9, removeNew: 0 })])).toEqual(["a", "b"]);
  });

  it("1: marks resources of the base and of this update", async () => {
    const state = resource("new");
    const { deployment } = await replay(ab, [
      entry({ kind: 1, operationID: 4, state, deleteOld: 0 }),
      entry({ kind: 1, operationID: 5, deleteNew: 4, pendingReplacementOld: 1, pendingReplacementNew: 4 }),
    ]);
    expect(deployment.resources).toEqual([
      { ...state, delete: true, pendingReplacement: true },
      { ...resource("a"), delete: true },
      { ...resource("b"), pendingReplacement: true },
    ]);
  });

  it("0 and 2: what began and did not end is pending; of the base's only creations stay", async () => {
    const pending = (name: string, type: string): Json => ({
      resource: resource(name, { taint: true }),
      type,
    });
    const old = [pending("x", "creating"), pending("y", "updating")];
    const document = bytes({ version: 4, features: ["taint"], deployment: { pending_operations: old } });
    const result = await replay(document, [
      entry({ kind: 0, operationID: 1, operation: pending("a", "updating") }),
      entry({ kind: 0, operationID: 2, operation: pending("b", "deleting") }),
      entry({ kind: 0, operationID: 3 }),
      entry({ kind: 2, operationID: 2, state: resource("ignored") }),
    ]);
    expect(result.deployment.pending_operations).toEqual([
      pending("a", "updating"),
      pending("x", "creating"),
    ]);
    expect(result.deployment.resources).toBeUndefined();
    expect(result).toMatchObject({ version: 4, features: ["taint"] });
  });

  it("3 and 4: replace in place; a removal wins over a replacement, a replacement over marks", async () => {
    const changed = resource("a", { outputs: { x: 1 } });
    const replaced = entry({ kind: 3, operationID: 1, removeOld: 0, state: changed });
    const marked = entry({ kind: 1, operationID: 2, deleteOld: 0, pendingReplacementOld: 0 });
    expect((await replay(ab, [replaced, marked])).deployment.resources?.[0]).toEqual(changed);
    expect(
      (await replay(ab, [{ ...marked, kind: 4, state: changed, removeOld: 0 }])).deployment.resources?.[0],
    ).toEqual(changed);
    expect(await names(ab, [replaced, entry({ kind: 3, operationID: 3, removeOld: 0 })])).toEqual(["b"]);
    expect(await names(ab, [entry({ kind: 4, operationID: 3, removeOld: 0 })])).toEqual(["a", "b"]);
    const own = [
      entry({ kind: 1, operationID: 1, state: resource("n") }),
      entry({ kind: 3, operationID: 2, removeNew: 1, state: changed }),
    ];
    expect(await names(base(), own)).toEqual(["a"]);
  });

  it("3: drops references to what a refresh removed, and empty lists with them", async () => {
    const child = resource("child", {
      parent: urn("gone"),
      dependencies: [urn("gone"), urn("a")],
      propertyDependencies: { x: [urn("gone")], y: [urn("gone"), urn("a")], z: [] },
      replaceWith: [urn("gone")],
      deletedWith: urn("gone"),
    });
    const document = base(resource("gone"), resource("a"), child);
    const removal = { operationID: 1, removeOld: 0 };
    const refreshed = await replay(document, [entry({ kind: 3, ...removal })]);
    expect(refreshed.deployment.resources?.[1]).toEqual(
      resource("child", { dependencies: [urn("a")], propertyDependencies: { y: [urn("a")] } }),
    );
    expect(refreshed.features).toEqual(["replaceWith"]);
    expect((await replay(document, [entry({ kind: 1, ...removal })])).deployment.resources?.[1]).toEqual(
      child,
    );
    const marked = await replay(document, [entry({ kind: 1, ...removal, isRefresh: true })]);
    expect(marked.deployment).toEqual(refreshed.deployment);
  });

  it("5: takes a new base, whose indices count from then on", async () => {
    const newSnapshot = { manifest: {}, resources: [resource("x"), resource("y")], metadata: {} };
    const entries = [entry({ kind: 5, newSnapshot }), entry({ kind: 1, operationID: 1, removeOld: 0 })];
    expect(await names(ab, entries)).toEqual(["y"]);
  });

  it("7: continues from the state so far, with its indices", async () => {
    const entries = [
      entry({ kind: 3, operationID: 1, removeOld: 0 }),
      entry({ kind: 7 }),
      entry({ kind: 1, operationID: 2, removeOld: 0, state: resource("b2") }),
    ];
    expect(await names(ab, entries)).toEqual(["b2"]);
    expect((await failure(ab, [...entries, entry({ kind: 1, removeOld: 1 })])).reason).toBe(
      "base_index_out_of_range",
    );
  });

  it("8 and 9: extensions of the base win; the last list of snippets stands", async () => {
    const extension = { name: "n", version: "1.0.0", value: "AA==" };
    const snippet = { uuid: "u", name: "s", type: "t", code: "", descriptor: { name: "p" } };
    const deployment = { extensions: { r1: { ...extension, name: "base" } }, snippets: [snippet] };
    const document = bytes({ version: 4, features: ["snippets-prototype"], deployment });
    const extend = (extensionRef: string): Json => entry({ kind: 8, extensionRef, extension });
    const both = await replay(document, [extend("r1"), extend("r2")]);
    expect(both.deployment.extensions).toEqual({ ...deployment.extensions, r2: extension });
    expect(both.features).toEqual(["snippets-prototype"]);
    const none = await replay(document, [entry({ kind: 9 })]);
    expect(none).toMatchObject({ version: 3 });
    expect(none.deployment.snippets).toBeUndefined();
    const other = await replay(document, [entry({ kind: 9, snippets: [{ ...snippet, uuid: "v" }] })]);
    expect(other.deployment.snippets).toEqual([{ ...snippet, uuid: "v" }]);
  });
});

describe("aliases", () => {
  it("rename every reference once, children of a renamed parent too, but not replaceWith", async () => {
    const oldParent = urn("old", "t:m:P");
    const parent = {
      urn: urn("new", "t:m:Q"),
      custom: false,
      type: "t:m:Q",
      aliases: [oldParent],
      parent: STACK,
    };
    const oldChild = urn("c", "t:m:P$t:m:C");
    const newChild = urn("c", "t:m:Q$t:m:C");
    const snippet = { uuid: "u", references: { x: oldChild, y: "other" } };
    const child = { urn: oldChild, custom: false, type: "t:m:C", parent: oldParent };
    const user = resource("user", {
      dependencies: [oldChild, urn("a")],
      propertyDependencies: { k: [oldChild] },
      deletedWith: oldChild,
      viewOf: oldParent,
      provider: `${oldChild}::id`,
      replaceWith: [oldParent],
    });
    const document = bytes({ version: 3, deployment: { resources: [child, user], snippets: [snippet] } });
    const { deployment } = await replay(document, [entry({ kind: 1, operationID: 1, state: parent })]);
    const { aliases: _, ...unaliased } = parent;
    expect(deployment.resources).toEqual([
      unaliased,
      { ...child, urn: newChild, parent: parent.urn },
      {
        ...user,
        dependencies: [newChild, urn("a")],
        propertyDependencies: { k: [newChild] },
        deletedWith: newChild,
        viewOf: parent.urn,
        provider: `${newChild}::id`,
      },
    ]);
    expect(deployment.snippets).toEqual([{ ...snippet, references: { x: newChild, y: "other" } }]);
  });

  it("leave the type of the root stack's children alone", async () => {
    const root = {
      urn: STACK,
      custom: false,
      type: "pulumi:pulumi:Stack",
      aliases: ["urn:pulumi:d::p::pulumi:pulumi:Stack::o"],
    };
    const child = resource("c", { parent: "urn:pulumi:d::p::pulumi:pulumi:Stack::o" });
    const { deployment } = await replay(base(child), [entry({ kind: 1, operationID: 1, state: root })]);
    expect(deployment.resources?.[1]).toEqual({ ...child, parent: STACK });
  });

  it("that two resources claim are an error, that go in circles are not", async () => {
    const claim = (name: string, alias: string): Json => resource(name, { aliases: [urn(alias)] });
    expect((await failure(base(claim("a", "x"), claim("b", "x")), [entry({ kind: 2 })])).reason).toBe(
      "alias_conflict",
    );
    const circle = base(claim("a", "b"), claim("b", "a"), resource("c", { parent: urn("a") }));
    expect(await names(circle, [entry({ kind: 2 })])).toHaveLength(3);
  });
});

describe("a journal that does not fit", () => {
  const one = base(resource("a"));

  it.each(["removeOld", "deleteOld", "pendingReplacementOld"])(
    "names an index outside the base in %s",
    async (name) => {
      const wrong = entry({ kind: 1, operationID: 1, [name]: 1 });
      const error = await failure(one, [wrong, entry({ kind: 2 })]);
      expect(error).toMatchObject({ reason: "base_index_out_of_range", sequenceId: wrong.sequenceID });
      expect((await failure(null, [wrong])).reason).toBe("base_index_out_of_range");
    },
  );

  it.each([
    { kind: 1, removeNew: 77 },
    { kind: 1, deleteNew: 77 },
    { kind: 1, pendingReplacementNew: 77 },
    { kind: 3, removeNew: 77, state: resource("x") },
    { kind: 4, removeNew: 77, state: resource("x") },
  ])("never touches the first resource for an operation that added nothing: %j", async (members) => {
    const first = entry({ kind: 1, operationID: 1, state: resource("new") });
    const entries = [first, entry({ operationID: 2, ...members })];
    expect((await replay(one, entries)).deployment.resources).toEqual([resource("new"), resource("a")]);
    expect(await warnings(one, entries)).toHaveLength(1);
  });

  it("warns when the base is rebuilt in the middle of an update", async () => {
    const added = entry({ kind: 1, operationID: 1, state: resource("new") });
    expect(await warnings(one, [added, entry({ kind: 7 })])).toEqual([]);
    expect(await warnings(one, [added, entry({ kind: 7 }), entry({ kind: 2 })])).toHaveLength(1);
  });

  it("reports a base or a batch that is damaged", async () => {
    expect((await failure(bytes('{"version":3,'), [entry({ kind: 2 })])).reason).toBe("malformed_base");
    await expect(replayText({ batches: [bytes("{")] })).rejects.toMatchObject({ reason: "malformed_batch" });
  });

  it("ends when the base shrinks between its two readings", async () => {
    const documents = [base(resource("a"), resource("b")), base()];
    const openBase = (): AsyncIterable<Uint8Array> => opener(documents.shift() ?? base())();
    await expect(replayText({ openBase, batches: [batch([entry({ kind: 2 })])] })).rejects.toMatchObject({
      reason: "base_changed",
    });
  });

  it("ends soon however often it rebuilds its base", async () => {
    const many = base(
      ...Array.from({ length: 5000 }, (_, i) => resource(`r${i}`, { dependencies: [urn("r0")] })),
    );
    const idle = Array.from({ length: 5000 }, () => entry({ kind: 7 }));
    const startMs = performance.now();
    expect(await names(many, [entry({ kind: 3, removeOld: 0 }), ...idle])).toHaveLength(4999);
    const busy = idle.flatMap((_, i) => [
      entry({ kind: 1, operationID: i, removeOld: 0 }),
      entry({ kind: 7 }),
    ]);
    expect((await failure(many, busy)).reason).toBe("too_many_rebuilds");
    expect(performance.now() - startMs).toBeLessThan(5000);
  });
});

describe("batches", () => {
  const goldens = readGoldens().filter((golden) => golden.entries.length > 3);

  it("give one result however they are split, repeated, ordered and the base is cut", async () => {
    const property = fc.asyncProperty(
      fc.constantFrom(...goldens),
      fc.infiniteStream(fc.nat()),
      fc.integer({ min: 1, max: 300 }),
      async (golden, numbers, chunkBytes) => {
        const document = bytes({ version: 3, deployment: golden.base });
        const next = (below: number): number => (numbers.next().value as number) % below;
        const delivered = golden.entries.flatMap((one) => Array.from({ length: 1 + next(3) }, () => one));
        for (let i = delivered.length - 1; i > 0; i -= 1) {
          const j = next(i + 1);
          const [a, b] = [delivered[i], delivered[j]];
          if (a !== undefined && b !== undefined) [delivered[i], delivered[j]] = [b, a];
        }
        const batches: Uint8Array[] = [];
        while (delivered.length > 0) batches.push(batch(delivered.splice(0, 1 + next(9))));
        const expected = await replayText({ openBase: opener(document), batches: [batch(golden.entries)] });
        expect(await replayText({ openBase: opener(document, chunkBytes), batches })).toBe(expected);
      },
    );
    await fc.assert(property, { numRuns: 200 });
  });

  it("count by the first arrival of a number", async () => {
    const first = entry({ kind: 1, operationID: 1, state: resource("first") });
    const again = { ...first, state: resource("again") };
    const batches = [batch([first]), batch([again])];
    expect(await replayText({ batches })).toContain(urn("first"));
    expect(await replayText({ batches })).not.toContain(urn("again"));
  });
});

describe("the time of a replay", () => {
  function journal(count: number): Uint8Array[] {
    const entries = Array.from({ length: count }, (_, i) => [
      entry({ kind: 0, operationID: i, operation: { resource: resource(`r${i}`), type: "creating" } }),
      entry({
        kind: 1,
        operationID: i,
        state: resource(`r${i}`, { dependencies: [urn(`r${Math.max(0, i - 1)}`)] }),
      }),
    ]).flat();
    const batches: Uint8Array[] = [];
    while (entries.length > 0) batches.push(batch(entries.splice(0, 8)));
    return batches;
  }

  async function fastestMs(batches: Uint8Array[], rounds: number): Promise<number> {
    let fastest = Number.POSITIVE_INFINITY;
    for (let round = 0; round < rounds; round += 1) {
      const startMs = performance.now();
      await replayText({ batches });
      fastest = Math.min(fastest, performance.now() - startMs);
    }
    return fastest;
  }

  it("grows with the number of entries, not faster", async () => {
    const [few, many] = [journal(200), journal(10_000)];
    await fastestMs(few, 20);
    const [fewMs, manyMs] = [await fastestMs(few, 20), await fastestMs(many, 4)];
    // Quadratic work would be 50; a busy machine was seen to make 3.2 of 1.
    expect(manyMs / 50 / fewMs).toBeLessThan(10);
    expect(manyMs).toBeLessThan(2000);
  });
});
