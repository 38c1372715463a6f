/** Journal batches over HTTP. That a replay is exact is shown by goldens.test.ts; this is about how they come. */
import { describe, expect, it, vi } from "vitest";
import type { StackClient } from "../support/client.ts";
import {
  creation,
  documentOf,
  type Entry,
  entry,
  freshStack,
  KIND,
  resource,
  rootResource,
  serviceProvider,
  up,
  upEntries,
} from "../support/journal.ts";
import { shareTestServer } from "../support/server.ts";

const server = shareTestServer();

const provider = (stack: StackClient) =>
  entry(1, KIND.secretsManager, { secretsProvider: serviceProvider(stack) });

const namesOf = async (stack: StackClient): Promise<string[]> =>
  ((await stack.deployment()).deployment.resources ?? []).map((it: { urn: string }) =>
    it.urn.split("::").at(-1),
  );

describe("entries of each kind", () => {
  /** On a base of the root resource, a and b. */
  const CASES: readonly {
    what: string;
    entries: (stack: StackClient) => Entry[];
    names: string[];
    pending: number;
  }[] = [
    {
      what: "begin: a pending operation",
      names: ["shop-?", "a", "b"],
      pending: 1,
      entries: (s) => [
        entry(2, KIND.begin, { operationID: 1, operation: { resource: resource(s, "c"), type: "creating" } }),
      ],
    },
    {
      what: "success: the new resource first",
      names: ["c", "shop-?", "a", "b"],
      pending: 0,
      entries: (s) => [...creation(2, 1, resource(s, "c"))],
    },
    {
      what: "success with removeOld 1: a is gone",
      names: ["shop-?", "b"],
      pending: 0,
      entries: () => [
        entry(2, KIND.begin, { operationID: 1 }),
        entry(3, KIND.success, { operationID: 1, removeOld: 1 }),
      ],
    },
    {
      what: "success with removeOld 0, which is no absence",
      names: ["a", "b"],
      pending: 0,
      entries: () => [entry(2, KIND.success, { operationID: 1, removeOld: 0 })],
    },
    {
      what: "failure: as it was",
      names: ["shop-?", "a", "b"],
      pending: 0,
      entries: (s) => [
        entry(2, KIND.begin, { operationID: 1, operation: { resource: resource(s, "a"), type: "updating" } }),
        entry(3, KIND.failure, { operationID: 1 }),
      ],
    },
    {
      what: "refresh-success without state: gone",
      names: ["shop-?", "b"],
      pending: 0,
      entries: () => [entry(2, KIND.refreshSuccess, { operationID: 1, removeOld: 1, isRefresh: true })],
    },
    {
      what: "outputs: replaced in place",
      names: ["shop-?", "a2", "b"],
      pending: 0,
      entries: (s) => [entry(2, KIND.outputs, { operationID: 1, removeOld: 1, state: resource(s, "a2") })],
    },
    {
      what: "write: another base",
      names: ["w"],
      pending: 0,
      entries: (s) => [entry(2, KIND.write, { newSnapshot: documentOf([resource(s, "w")]).deployment })],
    },
    {
      what: "rebuilt-base-state: indices count anew",
      names: ["shop-?", "b"],
      pending: 0,
      entries: () => [
        entry(2, KIND.success, { operationID: 1, removeOld: 1, isRefresh: true }),
        entry(3, KIND.rebuiltBaseState),
      ],
    },
    {
      what: "extension-parameterize and snippets: no resource",
      names: ["shop-?", "a", "b"],
      pending: 0,
      entries: () => [
        entry(2, KIND.extensionParameterize, {
          extensionRef: "x",
          extension: { name: "n", version: "1", value: "AA==" },
        }),
        entry(3, KIND.snippets, { snippets: [] }),
      ],
    },
  ];

  it.each(CASES)("$what", async ({ entries, names, pending }) => {
    const stack = await freshStack(server());
    const base = [rootResource(stack), resource(stack, "a"), resource(stack, "b")];
    await stack.import(documentOf(base, { secrets_providers: serviceProvider(stack) }));
    const update = await stack.begin();
    expect(await update.journal([provider(stack), ...entries(stack)])).toMatchObject({ status: 204 });
    expect(await update.complete()).toMatchObject({ status: 204 });
    expect(await namesOf(stack)).toEqual(names.map((name) => name.replace("?", stack.stack)));
    const { deployment } = await stack.deployment();
    expect(deployment.pending_operations ?? []).toHaveLength(pending);
  });

  it("are stamped with the CLI's version in a manifest that it accepts", async () => {
    const stack = await freshStack(server());
    await up(stack);
    const { manifest } = (await stack.deployment()).deployment;
    // SHA-256 of "v3.260.0".
    expect(manifest).toMatchObject({ version: "v3.260.0", magic: expect.stringMatching(/^[0-9a-f]{64}$/) });
    const { createHash } = await import("node:crypto");
    expect(manifest.magic).toBe(createHash("sha256").update("v3.260.0").digest("hex"));
  });
});

describe("delivery", () => {
  const ENTRIES = 40;
  const all = (stack: StackClient) =>
    upEntries(
      stack,
      Array.from({ length: ENTRIES }, (_, i) => `r${i}`),
    );
  const expected = (stack: StackClient) => [
    ...[`shop-${stack.stack}`],
    ...Array.from({ length: ENTRIES }, (_, i) => `r${i}`),
  ];
  const chunk = (entries: readonly Entry[], size: number) =>
    Array.from({ length: Math.ceil(entries.length / size) }, (_, i) =>
      entries.slice(i * size, (i + 1) * size),
    );

  it.each([
    { how: "in one batch", split: (it: readonly Entry[]) => [it] },
    { how: "one by one", split: (it: readonly Entry[]) => chunk(it, 1) },
    { how: "in eights, each twice", split: (it: readonly Entry[]) => chunk(it, 8).flatMap((b) => [b, b]) },
    {
      how: "in eights that overlap",
      split: (it: readonly Entry[]) =>
        chunk(it, 8).map((b, i) => [...it.slice(Math.max(0, i * 8 - 3), i * 8), ...b]),
    },
    { how: "in eights, last first", split: (it: readonly Entry[]) => chunk(it, 8).reverse() },
    { how: "backwards within the batch", split: (it: readonly Entry[]) => [it.toReversed()] },
    {
      how: "all, then its halves",
      split: (it: readonly Entry[]) => [it, ...chunk(it, Math.ceil(it.length / 2))],
    },
  ])("leads to the same state: $how", async ({ split }) => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    for (const batch of split(all(stack))) expect(await update.journal(batch)).toMatchObject({ status: 204 });
    await update.complete();
    expect(await namesOf(stack)).toEqual(expected(stack));
  });

  it("at once, in parallel, is no failure either", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    const answers = await Promise.all(
      chunk(all(stack), 5).flatMap((b) => [update.journal(b), update.journal(b)]),
    );
    expect(new Set(answers.map((it) => it.status))).toEqual(new Set([204]));
    await update.complete();
    expect(await namesOf(stack)).toEqual(expected(stack));
  });

  it("with a gap in the numbers waits for nothing", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    await update.journal([provider(stack), ...creation(100, 7, resource(stack, "a"))]);
    await update.complete();
    expect(await namesOf(stack)).toEqual(["a"]);
  });

  it("of nothing is fine", async () => {
    const update = await (await freshStack(server())).begin();
    expect(await update.journal([])).toMatchObject({ status: 204 });
    expect(await update.send("PATCH", "/journalentries", { entries: null })).toMatchObject({ status: 204 });
  });

  it("takes members that it does not know", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    const state = resource(stack, "a", { somethingNew: { x: 1.0 } });
    await update.journal([
      provider(stack),
      { ...entry(2, KIND.success, { operationID: 1, state }), new: [1] },
    ]);
    await update.complete();
    expect((await stack.deployment()).deployment.resources).toEqual([state]);
  });

  it("keeps numbers and escapes as they were sent", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    const { urn } = resource(stack, "a");
    const outputs = String.raw`{"a":1.0,"b":12345678901234567890,"c":"\u003cx\u003e é"}`;
    const state = `{"urn":"${urn}","custom":true,"id":"i","type":"test:index:Thing","outputs":${outputs}}`;
    const body = `{"entries":[{"version":1,"kind":1,"sequenceID":1,"operationID":1,"removeOld":null,"removeNew":null,"state":${state}}]}`;
    expect(await update.send("PATCH", "/journalentries", body)).toMatchObject({ status: 204 });
    await update.complete();
    expect((await stack.send("GET", "/export")).text).toContain(`"outputs":${outputs}`);
  });
});

describe("what cannot be replayed is refused at once", () => {
  it.each([
    { what: "an unknown kind", change: { kind: 10 } },
    { what: "a negative kind", change: { kind: -1 } },
    { what: "a kind in words", change: { kind: "1" } },
    { what: "no kind", change: { kind: undefined } },
    { what: "version 2", change: { version: 2 } },
    { what: "no version", change: { version: undefined } },
    { what: "number 0", change: { sequenceID: 0 } },
    { what: "no number", change: { sequenceID: undefined } },
    { what: "a number with a fraction", change: { sequenceID: 1.5 } },
    { what: "a number past 2^53", change: { sequenceID: 2 ** 60 } },
    { what: "a negative index", change: { removeOld: -1 } },
    { what: "an index in words", change: { removeOld: "0" } },
    { what: "a state that is a list", change: { state: [] } },
    { what: "an operation that is text", change: { operation: "creating" } },
    { what: "a write without its snapshot", change: { kind: KIND.write } },
    { what: "an extension without its name", change: { kind: KIND.extensionParameterize, extension: {} } },
    { what: "snippets that are no list", change: { kind: KIND.snippets, snippets: {} } },
  ])("$what, and nothing of its batch is kept", async ({ change }) => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    const bad = { ...entry(4, KIND.success, { operationID: 1 }), ...change };
    const answer = await update.journal([provider(stack), ...creation(2, 1, resource(stack, "a")), bad]);
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 400, message: expect.stringContaining("entry 3") },
    });
    expect(await update.complete()).toMatchObject({ status: 204 });
    expect(await namesOf(stack)).toEqual([]);
  });
});

describe("an update that changed nothing", () => {
  it("keeps the document byte for byte", async () => {
    const stack = await freshStack(server());
    const document = `{ "version":3,\n"deployment":{"manifest":{"time":"2026-01-02T03:04:05Z","magic":"","version":""},"secrets_providers":${JSON.stringify(serviceProvider(stack))},"resources":[${JSON.stringify(rootResource(stack))}],"x":1.0}}`;
    await stack.import(document);
    const update = await stack.begin();
    await update.journal([provider(stack)]);
    await update.complete();
    expect((await stack.send("GET", "/export")).text).toBe(document);
    expect((await stack.send("GET", "")).body.version).toBe(2);
  });
});

describe("a journal with a checkpoint in between", () => {
  it("goes on from the checkpoint, which is the new base", async () => {
    const stack = await freshStack(server());
    await up(stack, ["old"]);
    const update = await stack.begin();
    await update.journal([provider(stack), ...creation(2, 1, resource(stack, "lost"))]);
    const { deployment } = documentOf([resource(stack, "a"), resource(stack, "b")], {
      secrets_providers: serviceProvider(stack),
    });
    expect(await update.checkpoint(deployment)).toMatchObject({ status: 204 });
    await update.journal([entry(4, KIND.success, { operationID: 2, removeOld: 0 })]);
    await update.complete();
    expect(await namesOf(stack)).toEqual(["b"]);
  });
});

describe("a journal that this server has read as it came", () => {
  it("is not read from the database again for an up of 100", async () => {
    const stack = await freshStack(server());
    const names = Array.from({ length: 100 }, (_, i) => `r${i}`);
    const update = await stack.begin();
    const read = vi.spyOn(server().ctx.db, "listJournalBatches");
    const entries = upEntries(stack, names);
    for (let i = 0; i < entries.length; i += 8) {
      expect(await update.journal(entries.slice(i, i + 8))).toMatchObject({ status: 204 });
    }
    expect(await update.complete()).toMatchObject({ status: 204 });
    expect(read).not.toHaveBeenCalled();
    read.mockRestore();
    expect(await namesOf(stack)).toHaveLength(1 + names.length);
  });
});

describe("a journal that does not fit its base", () => {
  it("leaves the state as it was, the update failed, the journal kept, and says so however often it is asked", async () => {
    const stack = await freshStack(server());
    await up(stack, ["a"]);
    const before = (await stack.send("GET", "/export")).text;
    const update = await stack.begin();
    await update.journal([provider(stack), entry(2, KIND.success, { operationID: 1, removeOld: 99 })]);
    const answer = await update.complete();
    expect(answer).toMatchObject({ status: 500, body: { code: 500 } });
    expect(answer.body.message).toContain("kept");
    // The CLI sends it again, as it was or as failed: it hears the same reason.
    expect(await update.complete()).toMatchObject({ status: 500, body: answer.body });
    expect(await update.complete("failed")).toMatchObject({ status: 500, body: answer.body });
    expect((await stack.send("GET", "/export")).text).toBe(before);
    expect((await stack.history())[0]).toMatchObject({ version: 2, result: "failed" });
    const kept = await server().ctx.db.listJournalBatches(update.id, 0, 10);
    expect(kept).toHaveLength(1);
    expect(
      await server().ctx.metrics.registry.getSingleMetricAsString("statehouse_replay_failures_total"),
    ).toContain(" 1");
    expect(server().logLines.some((line) => line.includes("REPLAY_FAILED") && line.includes(update.id))).toBe(
      true,
    );
    const next = await stack.begin();
    expect(next.version).toBe(3);
  });

  it("is ended by a cancel as well", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    await update.journal([entry(1, KIND.success, { operationID: 1, removeNew: 42 })]);
    const { status } = await update.cancel();
    expect([204, 500]).toContain(status);
    expect(await update.cancel()).toMatchObject({ status: 204 });
    expect(await stack.start(await stack.create())).toMatchObject({ status: 200 });
  });
});
