import { describe, expect, it } from "vitest";
import { StackClient } from "../support/client.ts";
import { documentOf, freshStack, up, upEntries } from "../support/journal.ts";
import { shareTestServer } from "../support/server.ts";

const server = shareTestServer();

const page = async (stack: StackClient, query: string) =>
  (await stack.send("GET", `/updates${query}`)).body.updates;
const versions = async (stack: StackClient, query: string) =>
  (await page(stack, query)).map((it: { version: number }) => it.version);
const nowSeconds = () => Math.floor(Date.now() / 1000);

describe("history", () => {
  it("is empty at first, and there is no latest update", async () => {
    const stack = await freshStack(server());
    expect(await page(stack, "?pageSize=10&page=1")).toEqual([]);
    expect(await stack.send("GET", "/updates/latest")).toMatchObject({ status: 404, body: { code: 404 } });
  });

  it("comes newest first, in pages, and ends with a short one", async () => {
    const stack = await freshStack(server());
    for (let i = 0; i < 7; i++) await stack.import(documentOf([]));
    expect(await versions(stack, "?pageSize=3&page=1")).toEqual([7, 6, 5]);
    expect(await versions(stack, "?pageSize=3&page=2")).toEqual([4, 3, 2]);
    expect(await versions(stack, "?pageSize=3&page=3")).toEqual([1]);
    expect(await versions(stack, "?pageSize=3&page=4")).toEqual([]);
    expect(await versions(stack, "?pageSize=3&page=0")).toEqual([7, 6, 5]);
    expect(await versions(stack, "?pageSize=1&page=1")).toEqual([7]);
    for (const query of ["", "?pageSize=0&page=1", "?pageSize=&page="])
      expect(await versions(stack, query)).toEqual([7, 6, 5, 4, 3, 2, 1]);
  });

  it.each(["?page=x", "?pageSize=-1", "?page=1.5", "?page=1&page=2", "?pageSize=1e99"])(
    "refuses %s",
    async (query) => {
      const stack = await freshStack(server());
      expect(await stack.send("GET", `/updates${query}`)).toMatchObject({ status: 400, body: { code: 400 } });
    },
  );

  it("tells each kind by its name, previews never", async () => {
    const stack = await freshStack(server());
    for (const kind of ["update", "refresh", "destroy"]) {
      await (await stack.begin(kind, { dryRun: true })).complete();
      await (await stack.begin(kind)).complete();
    }
    await (await stack.begin("preview", { dryRun: true })).complete();
    await stack.import(documentOf([]));
    await stack.send("POST", "/rename", { newName: `${stack.stack}-new`, newProject: stack.project });
    const renamed = new StackClient(server(), stack.project, `${stack.stack}-new`);
    const kinds = (await renamed.history()).map((it) => it.kind);
    expect(kinds).toEqual(["rename", "import", "destroy", "refresh", "update"]);
  });

  it("shows what was sent: message, environment, configuration", async () => {
    const stack = await freshStack(server());
    const config = {
      "shop:plain": { string: "x", secret: false, object: false },
      "shop:pw": { string: "AAAB+/==", secret: true, object: false },
      "shop:o": { string: '{"a":{"secure":"AAAB"}}', secret: true, object: true },
      "shop:later": { string: "y", secret: false, object: false, somethingNew: 1 },
    };
    const environment = { "git.head": "0123abc", "pulumi.version": "v3.260.0", "ci.empty": "" };
    const metadata = { message: "fix: ü €\nsecond line", environment };
    const created = await stack.send("POST", "/update", {
      name: "n",
      options: { dryRun: false },
      config,
      metadata,
    });
    await stack.start(created.body.updateID);
    const [entry] = await stack.history();
    expect(entry).toMatchObject({
      updateID: created.body.updateID,
      message: metadata.message,
      environment,
      config,
    });
  });

  it("takes no metadata, as the CLI may send", async () => {
    const stack = await freshStack(server());
    const created = await stack.send("POST", "/update", { options: {}, metadata: null });
    await stack.start(created.body.updateID);
    expect((await stack.history())[0]).toMatchObject({ message: "", environment: {}, config: {} });
  });

  it.each(["succeeded", "failed"])(
    "has a %s update with its version and state the moment it is complete",
    async (status) => {
      const stack = await freshStack(server());
      const before = nowSeconds();
      const update = await stack.begin();
      await update.journal(upEntries(stack, ["a"]));
      await update.complete(status);
      // What the Automation API asks for right away.
      const [entry] = await page(stack, "?pageSize=1&page=1");
      expect(entry).toMatchObject({
        updateID: update.id,
        kind: "update",
        result: status,
        version: 1,
        resourceCount: 2,
      });
      expect(entry.startTime).toBeGreaterThanOrEqual(before);
      expect(entry.endTime).toBeGreaterThanOrEqual(entry.startTime);
      expect(entry.endTime).toBeLessThanOrEqual(nowSeconds());
      const latest = (await stack.send("GET", "/updates/latest")).body;
      expect(latest).toEqual({ info: entry });
      expect((await stack.send("GET", "/updates/1")).body).toEqual(entry);
      expect((await stack.deployment(1)).deployment.resources).toHaveLength(2);
    },
  );

  it("says in-progress while one runs, and not that it ended", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    expect(await page(stack, "")).toMatchObject([{ result: "in-progress", endTime: 0, version: 1 }]);
    expect((await stack.send("GET", `/update/${update.id}`)).body.status).toBe("running");
  });

  it("does not have what was never started", async () => {
    const stack = await freshStack(server());
    await stack.create();
    expect(await stack.history()).toEqual([]);
  });

  it("counts changes by operation as the summary event said, the last one", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    const summary = (sequence: number, resourceChanges: Record<string, number>) => ({
      ...{ sequence, timestamp: 1 },
      summaryEvent: {
        maybeCorrupt: false,
        durationSeconds: 1,
        resourceChanges,
        PolicyPacks: {},
        isPreview: false,
      },
    });
    await update.events([summary(0, { same: 9 })]);
    await update.events([{ sequence: 1, timestamp: 1, stdoutEvent: { message: "", color: "" } }]);
    await update.events([summary(2, { create: 3, "create-replacement": 1 })]);
    await update.complete();
    expect((await stack.history())[0].resourceChanges).toEqual({ create: 3, "create-replacement": 1 });
  });

  it("has no version that never was", async () => {
    const stack = await freshStack(server());
    await up(stack);
    for (const version of ["0", "2", "-1", "999999999"])
      expect(await stack.send("GET", `/updates/${version}`)).toMatchObject({
        status: 404,
        body: { code: 404 },
      });
    expect(await stack.send("GET", "/updates/x")).toMatchObject({ status: 400, body: { code: 400 } });
  });
});

describe("the list of previews", () => {
  const previews = async (stack: StackClient, query = "?asc=false&pageSize=1&page=1") =>
    (await stack.send("GET", `/updates/latest/previews${query}`)).body.updates;

  it("is empty for a stack without any, with real updates or not", async () => {
    const stack = await freshStack(server());
    expect(await previews(stack)).toEqual([]);
    await up(stack);
    expect(await previews(stack)).toEqual([]);
  });

  it("comes newest first", async () => {
    const stack = await freshStack(server());
    const ids: string[] = [];
    for (const status of ["succeeded", "failed"]) {
      const preview = await stack.begin("preview", { dryRun: true });
      await preview.complete(status);
      ids.push(preview.id);
    }
    expect(await previews(stack)).toMatchObject([{ updateID: ids[1], result: "failed" }]);
    expect(await previews(stack, "?pageSize=10&page=1")).toMatchObject([
      { updateID: ids[1] },
      { updateID: ids[0] },
    ]);
  });
});
