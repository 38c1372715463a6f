import { describe, expect, it } from "vitest";
import { type Answer, type StackClient, UpdateClient } from "../support/client.ts";
import {
  creation,
  documentOf,
  entry,
  freshStack,
  KIND,
  resource,
  serviceProvider,
  up,
  upEntries,
} from "../support/journal.ts";
import { shareTestServer } from "../support/server.ts";

/** Moved by tests that wait for a lease to end; every other test only needs it to stand still or go on. */
let nowMs = Date.parse("2026-03-01T12:00:00Z");
const server = shareTestServer({ nowMs: () => nowMs });
const LEASE_MS = 300_000;
const GRACE_MS = 30_000;

const CONFLICT = { code: 409, message: "Conflict: Another update is currently in progress." };
const COMPLETED = { code: 409, message: "Conflict: The Update has already completed" };
const EXPIRED = { code: 403, message: "The provided update token has expired" };

const statusOf = async (update: UpdateClient) =>
  (await update.stack.send("GET", `/update/${update.id}`)).body.status as string;

/** Every call that takes a lease token. */
const LEASE_CALLS: readonly { call: string; make: (update: UpdateClient) => Promise<Answer> }[] = [
  { call: "renew_lease", make: (update) => update.renew() },
  { call: "journalentries", make: (update) => update.journal(upEntries(update.stack)) },
  { call: "checkpoint", make: (update) => update.checkpoint({ manifest: {}, resources: [] }) },
  {
    call: "checkpointverbatim",
    make: (update) =>
      update.send("PATCH", "/checkpointverbatim", {
        version: 3,
        untypedDeployment: documentOf([]),
        sequenceNumber: 1,
      }),
  },
  {
    call: "checkpointdelta",
    make: (update) =>
      update.send("PATCH", "/checkpointdelta", {
        ...{ version: 3, checkpointHash: "0".repeat(64), sequenceNumber: 2, deploymentDelta: [] },
      }),
  },
  { call: "events/batch", make: (update) => update.events([{ sequence: 0, timestamp: 1, cancelEvent: {} }]) },
  { call: "complete", make: (update) => update.complete() },
];

describe("creating an update", () => {
  it.each(["update", "preview", "refresh", "destroy"])(
    "of kind %s gives it an id and takes nothing",
    async (kind) => {
      const stack = await freshStack(server());
      const { status, body } = await stack.send("POST", `/${kind}`, {
        options: {},
        config: null,
        metadata: null,
      });
      expect(status).toBe(200);
      expect(body.updateID).toMatch(/^[A-Za-z0-9-]+$/);
      expect(await stack.send("GET", `/update/${body.updateID}`)).toMatchObject({
        body: { status: "not started" },
      });
      const seen = (await stack.send("GET", "")).body;
      expect(seen).toMatchObject({ version: 0, activeUpdate: "" });
      expect(seen).not.toHaveProperty("currentOperation");
    },
  );

  it("is possible while another one runs: a start decides", async () => {
    const stack = await freshStack(server());
    await stack.begin();
    const second = await stack.create();
    const answer = await stack.start(second);
    expect(answer.status).toBe(409);
    expect(answer.body).toEqual(CONFLICT);
  });

  it("and declining the confirmation leaves the stack free", async () => {
    const stack = await freshStack(server());
    await stack.create();
    const next = await stack.begin();
    expect(next.version).toBe(1);
  });
});

describe("a running update", () => {
  it("is what the stack shows, with who, what and since when", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin("destroy");
    const seen = (await stack.send("GET", "")).body;
    expect(seen).toMatchObject({ version: 1, activeUpdate: update.id });
    const started = Math.floor(nowMs / 1000);
    expect(seen.currentOperation).toEqual({ kind: "destroy", author: "admin", started });
    await update.complete();
    const after = (await stack.send("GET", "")).body;
    expect(after).toMatchObject({ version: 1, activeUpdate: update.id });
    expect(after).not.toHaveProperty("currentOperation");
  });

  it("keeps import, rename and delete away, and nothing else", async () => {
    const stack = await freshStack(server());
    await stack.begin();
    for (const answer of [
      await stack.send("POST", "/import", documentOf([])),
      await stack.send("POST", "/rename", { newName: "elsewhere", newProject: "shop" }),
      await stack.send("DELETE", "?force=true"),
    ]) {
      expect(answer.status).toBe(409);
      expect(answer.body).toEqual(CONFLICT);
    }
    expect(await stack.send("PATCH", "/tags", { a: "1" })).toMatchObject({ status: 204 });
    expect(await stack.send("GET", "/export")).toMatchObject({ status: 200 });
    expect(await stack.send("POST", "/encrypt", { plaintext: "" })).toMatchObject({ status: 200 });
  });

  it("has its frozen base exported until it is finished", async () => {
    const stack = await freshStack(server());
    await up(stack, ["a"]);
    const before = (await stack.send("GET", "/export")).text;
    const update = await stack.begin();
    await update.journal([
      entry(1, KIND.secretsManager, { secretsProvider: serviceProvider(stack) }),
      ...creation(2, 1, resource(stack, "b")),
    ]);
    expect((await stack.send("GET", "/export")).text).toBe(before);
    await update.complete();
    expect((await stack.deployment()).deployment.resources).toHaveLength(3);
  });

  it("reports `running` where history says `in-progress`", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    const polled = (await stack.send("GET", `/update/${update.id}`)).body;
    expect(polled).toEqual({ status: "running", events: [], continuationToken: expect.stringMatching(/./) });
    expect((await stack.history())[0]).toMatchObject({ result: "in-progress", version: 1, endTime: 0 });
  });

  it.each(["update", "preview", "refresh", "destroy", "import"])(
    "is found under /%s/ too, as older CLIs say it",
    async (kind) => {
      const stack = await freshStack(server());
      const update = await stack.begin("refresh");
      const answer = await stack.send(
        "POST",
        `/${kind}/${update.id}/renew_lease`,
        { duration: 300 },
        { lease: update.token },
      );
      expect(answer).toMatchObject({ status: 200 });
      expect(await stack.send("GET", `/${kind}/${update.id}`)).toMatchObject({ status: 200 });
    },
  );
});

describe("a preview", () => {
  const PREVIEWS = [
    { how: "POST preview", kind: "preview", dryRun: true },
    { how: "POST preview that does not say dryRun", kind: "preview", dryRun: false },
    { how: "POST update with dryRun", kind: "update", dryRun: true },
    { how: "POST refresh with dryRun", kind: "refresh", dryRun: true },
    { how: "POST destroy with dryRun", kind: "destroy", dryRun: true },
  ];

  it.each(PREVIEWS)(
    "runs next to a real update and to others, and makes no version: $how",
    async ({ kind, dryRun }) => {
      const stack = await freshStack(server());
      await up(stack);
      const real = await stack.begin();
      const before = (await stack.send("GET", "")).body;
      const first = await stack.begin(kind, { dryRun });
      const second = await stack.begin(kind, { dryRun });
      expect(first.token).toMatch(/./);
      expect(first.token).not.toBe(second.token);
      expect(first.version).toBe(2);
      await first.journal(upEntries(stack, ["never"]));
      expect(await first.complete()).toMatchObject({ status: 204 });
      expect(await second.complete("failed")).toMatchObject({ status: 204 });
      expect((await stack.send("GET", "")).body).toEqual(before);
      expect(await real.complete()).toMatchObject({ status: 204 });
      expect((await stack.history()).map((it) => it.version)).toEqual([2, 1]);
      expect((await stack.deployment()).deployment.resources).toHaveLength(1);
    },
  );

  it("does not keep anybody from starting, importing, renaming", async () => {
    const stack = await freshStack(server());
    await stack.begin("preview", { dryRun: true });
    await stack.import(documentOf([]));
    const real = await stack.begin();
    expect(real.version).toBe(2);
  });
});

describe("starting", () => {
  it("gives a token, its end, the version and the journal that was asked for", async () => {
    const stack = await freshStack(server());
    const id = await stack.create();
    const { status, body } = await stack.send("POST", `/update/${id}`, { tags: null, journalVersion: 1 });
    expect(status).toBe(200);
    const tokenExpiration = Math.floor((nowMs + LEASE_MS) / 1000);
    expect(body).toEqual({
      version: 1,
      token: expect.stringMatching(/^\S{20,}$/),
      tokenExpiration,
      journalVersion: 1,
    });
  });

  it.each([{ journalVersion: 0 }, { journalVersion: null }, {}])("grants no journal to %j", async (body) => {
    const stack = await freshStack(server());
    const answer = await stack.send("POST", `/update/${await stack.create()}`, body);
    expect(answer.status).toBe(200);
    expect(answer.body.journalVersion ?? 0).toBe(0);
  });

  it("again grants a fresh token for the same version; the old one is over", async () => {
    const stack = await freshStack(server());
    const first = await stack.begin();
    await first.journal(upEntries(stack, ["a"]));
    const again = await stack.start(first.id);
    expect(again).toMatchObject({ status: 200, body: { version: 1, journalVersion: 1 } });
    const second = new UpdateClient(stack, first.id, again.body.token, 1);
    expect((await first.renew()).body).toEqual(EXPIRED);
    expect(await second.complete()).toMatchObject({ status: 204 });
    expect((await stack.deployment()).deployment.resources).toHaveLength(2);
  });

  it("of two at once lets exactly one through", async () => {
    const stack = await freshStack(server());
    const ids = await Promise.all(Array.from({ length: 8 }, () => stack.create()));
    const answers = await Promise.all(ids.map((id) => stack.start(id)));
    expect(answers.map((it) => it.status).sort()).toEqual([200, ...Array(7).fill(409)]);
    for (const { status, body } of answers) if (status === 409) expect(body).toEqual(CONFLICT);
  });

  it("is refused for a finished, cancelled or discarded update, and 404 for one of another stack", async () => {
    const stack = await freshStack(server());
    const done = await stack.begin();
    await done.complete();
    const cancelled = await stack.begin();
    await cancelled.cancel();
    const discarded = await stack.create();
    await stack.send("POST", `/update/${discarded}/cancel`);
    for (const id of [done.id, cancelled.id, discarded]) {
      expect(await stack.start(id)).toMatchObject({ status: 409, body: { code: 409 } });
    }
    const other = await freshStack(server());
    expect(await stack.start(await other.create())).toMatchObject({ status: 404, body: { code: 404 } });
  });
});

describe("a lease token", () => {
  it.each(LEASE_CALLS)("of another update of the same stack is refused: $call", async ({ make }) => {
    const stack = await freshStack(server());
    const real = await stack.begin();
    const preview = await stack.begin("preview", { dryRun: true });
    const answer = await make(new UpdateClient(stack, real.id, preview.token, 1));
    expect(answer.status).toBe(403);
    expect(answer.body).toEqual(EXPIRED);
    expect(await statusOf(real)).toBe("running");
  });

  it.each(LEASE_CALLS)("is bound to its stack's path: $call", async ({ make }) => {
    const update = await (await freshStack(server())).begin();
    const other = await freshStack(server());
    const answer = await make(new UpdateClient(other, update.id, update.token, 1));
    expect(answer.status).toBe(403);
    expect(answer.body).toEqual(EXPIRED);
    expect(await statusOf(update)).toBe("running");
  });

  it.each(LEASE_CALLS)(
    "is asked for where a lease is due, also of the admin: $call",
    async ({ call, make }) => {
      const stack = await freshStack(server());
      const update = await stack.begin();
      await expect(make(update).then((it) => it.status)).resolves.not.toBe(403);
      const method = call.startsWith("journal") || call.startsWith("checkpoint") ? "PATCH" : "POST";
      const path = `/update/${update.id}/${call}`;
      expect(await stack.send(method, path, {})).toMatchObject({ status: 403, body: { code: 403 } });
      const bare = await stack.send(method, path, {}, { token: null });
      expect(bare).toMatchObject({ status: 401, body: { code: 401 } });
      const odd = await stack.send(
        method,
        path,
        {},
        { token: null, headers: { authorization: "update-token" } },
      );
      expect(odd).toMatchObject({ status: 403, body: { code: 403 } });
    },
  );

  it("is no API token", async () => {
    const stack = await freshStack(server());
    const { token: lease, id } = await stack.begin();
    for (const [method, path] of [
      ["GET", ""],
      ["GET", "/export"],
      ["POST", `/update/${id}/cancel`],
      ["POST", "/encrypt"],
    ] as const) {
      const answer = await stack.send(method, path, undefined, { lease });
      expect(answer).toMatchObject({ status: 401, body: { code: 401 } });
      expect(await stack.send(method, path, undefined, { token: lease })).toMatchObject({ status: 401 });
    }
  });
});

describe("renewing", () => {
  it.each([
    { duration: 300, seconds: 300 },
    { duration: 301, seconds: 300 },
    { duration: 1e9, seconds: 300 },
    { duration: 60, seconds: 60 },
    { duration: 0, seconds: 1 },
    { duration: -5, seconds: 1 },
  ])("for $duration s grants $seconds s", async ({ duration, seconds }) => {
    const update = await (await freshStack(server())).begin();
    nowMs += 1000;
    const answer = await update.renew(duration);
    expect(answer.status).toBe(200);
    const tokenExpiration = Math.floor((nowMs + seconds * 1000) / 1000);
    expect(answer.body).toEqual({ token: update.token, tokenExpiration });
  });

  it("keeps the stack as long as it goes on", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    for (let i = 0; i < 5; i++) {
      nowMs += 187_000;
      expect(await update.renew()).toMatchObject({ status: 200 });
    }
    expect(await stack.start(await stack.create())).toMatchObject({ status: 409 });
  });

  it("late is accepted, as are saves, while nobody has taken over", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    nowMs += LEASE_MS + GRACE_MS + 60_000;
    expect(await update.journal(upEntries(stack, ["a"]))).toMatchObject({ status: 204 });
    expect(await update.renew()).toMatchObject({ status: 200 });
    expect(await stack.start(await stack.create())).toMatchObject({ status: 409 });
    expect(await update.complete()).toMatchObject({ status: 204 });
  });
});

describe("a CLI that vanished", () => {
  const begun = (stack: StackClient) => [
    ...upEntries(stack, ["a"]),
    entry(6, KIND.begin, { operationID: 3, operation: { resource: resource(stack, "b"), type: "creating" } }),
  ];

  it("loses the stack when its lease ends, not before, and keeps what was acknowledged", async () => {
    const stack = await freshStack(server());
    const gone = await stack.begin();
    expect(await gone.journal(begun(stack))).toMatchObject({ status: 204 });
    const next = await stack.create();
    nowMs += LEASE_MS + GRACE_MS - 1;
    expect((await stack.start(next)).body).toEqual(CONFLICT);
    nowMs += 1;
    expect(await stack.start(next)).toMatchObject({ status: 200, body: { version: 2 } });
    const { deployment } = await stack.deployment();
    expect(deployment.resources).toHaveLength(2);
    expect(deployment.pending_operations).toEqual([{ resource: resource(stack, "b"), type: "creating" }]);
    expect(await statusOf(gone)).toBe("failed");
    expect(await stack.history()).toMatchObject([
      { version: 2, result: "in-progress" },
      { version: 1, result: "failed", resourceCount: 2 },
    ]);
    for (const { make } of LEASE_CALLS.filter(({ call }) => call !== "events/batch")) {
      expect((await make(gone)).body).toEqual(EXPIRED);
    }
  });

  it("frees the stack by itself: the sweep does the same", async () => {
    const stack = await freshStack(server());
    const gone = await stack.begin();
    await gone.journal(begun(stack));
    nowMs += LEASE_MS + GRACE_MS + 1;
    await server().scheduler.tick();
    expect(await statusOf(gone)).toBe("failed");
    expect((await stack.send("GET", "")).body).not.toHaveProperty("currentOperation");
    expect((await stack.deployment()).deployment.pending_operations).toHaveLength(1);
  });

  it("with a checkpoint leaves the last one it saved", async () => {
    const stack = await freshStack(server());
    const gone = await stack.begin("update", { journal: false });
    await gone.checkpoint({ manifest: {}, resources: [resource(stack, "a")] });
    nowMs += LEASE_MS + GRACE_MS;
    await stack.begin();
    expect((await stack.deployment()).deployment.resources).toEqual([resource(stack, "a")]);
  });
});

describe("completing", () => {
  it.each(["succeeded", "failed"])("as %s is answered the same when it is sent again", async (status) => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    await update.journal(upEntries(stack, ["a"]));
    for (let i = 0; i < 3; i++) expect(await update.complete(status)).toMatchObject({ status: 204 });
    expect(await statusOf(update)).toBe(status);
    expect(await stack.history()).toMatchObject([{ result: status, version: 1, resourceCount: 2 }]);
  });

  it("at once, twice, makes one version", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    await update.journal(upEntries(stack, ["a"]));
    const answers = await Promise.all([update.complete(), update.complete(), update.complete()]);
    expect(answers.map((it) => it.status)).toEqual([204, 204, 204]);
    expect(await stack.history()).toHaveLength(1);
  });

  it("as cancelled, as other clients say it, is a failure", async () => {
    const update = await (await freshStack(server())).begin();
    expect(await update.complete("cancelled")).toMatchObject({ status: 204 });
    expect(await statusOf(update)).toBe("failed");
  });

  it("with an unknown word is refused, and the update goes on", async () => {
    const update = await (await freshStack(server())).begin();
    expect(await update.complete("done")).toMatchObject({ status: 400, body: { code: 400 } });
    expect(await statusOf(update)).toBe("running");
  });

  it("another way than before does not change what was", async () => {
    const update = await (await freshStack(server())).begin();
    await update.complete("succeeded");
    expect((await update.complete("failed")).body).toEqual(EXPIRED);
    expect(await statusOf(update)).toBe("succeeded");
  });

  it("without anything saved keeps the state, as a new version", async () => {
    const stack = await freshStack(server());
    await up(stack, ["a"]);
    const before = (await stack.send("GET", "/export")).text;
    await (await stack.begin()).complete("failed");
    expect((await stack.send("GET", "/export")).text).toBe(before);
    expect((await stack.send("GET", "")).body.version).toBe(2);
    expect((await stack.send("GET", "/export/2")).text).toBe(before);
  });

  it("ends saving and renewing", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    await update.complete();
    for (const { call, make } of LEASE_CALLS) {
      if (call === "complete" || call === "events/batch") continue;
      const answer = await make(update);
      expect(answer.status, call).toBe(403);
      expect(answer.body, call).toEqual(EXPIRED);
    }
  });
});

describe("cancelling", () => {
  it("ends the update at once, keeps what was acknowledged, and frees the stack", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    await update.journal([
      ...upEntries(stack, ["a"]),
      entry(6, KIND.begin, {
        operationID: 3,
        operation: { resource: resource(stack, "b"), type: "creating" },
      }),
    ]);
    expect(await update.cancel()).toMatchObject({ status: 204 });
    for (const { call, make } of LEASE_CALLS.filter((it) => it.call !== "events/batch")) {
      expect((await make(update)).body, call).toEqual(EXPIRED);
    }
    const { deployment } = await stack.deployment();
    expect(deployment.resources).toHaveLength(2);
    expect(deployment.pending_operations).toHaveLength(1);
    expect((await stack.history())[0]).toMatchObject({ result: "failed", version: 1 });
    const next = await stack.begin();
    expect(next.version).toBe(2);
  });

  it("again is fine; after the end it is too late, word for word", async () => {
    const stack = await freshStack(server());
    const cancelled = await stack.begin();
    expect(await cancelled.cancel()).toMatchObject({ status: 204 });
    expect(await cancelled.cancel()).toMatchObject({ status: 204 });
    for (const status of ["succeeded", "failed"]) {
      const done = await stack.begin();
      await done.complete(status);
      const answer = await done.cancel();
      expect(answer.status).toBe(409);
      expect(answer.body).toEqual(COMPLETED);
    }
  });

  it("before the start discards the update, as often as it is asked", async () => {
    const stack = await freshStack(server());
    const id = await stack.create();
    const path = `/update/${id}/cancel`;
    expect(await stack.send("POST", path)).toMatchObject({ status: 204 });
    expect(await stack.send("POST", path)).toMatchObject({ status: 204 });
    expect(await stack.history()).toEqual([]);
  });

  it("ends a preview too, without a version", async () => {
    const stack = await freshStack(server());
    const preview = await stack.begin("preview", { dryRun: true });
    expect(await preview.cancel()).toMatchObject({ status: 204 });
    expect((await preview.complete()).body).toEqual(EXPIRED);
    expect((await stack.send("GET", "")).body.version).toBe(0);
  });

  it("at the same moment as complete: exactly one of them happened", async () => {
    const stack = await freshStack(server());
    for (let i = 0; i < 5; i++) {
      const update = await stack.begin();
      await update.journal(upEntries(stack, [`r${i}`]));
      const [completed, cancelled] = await Promise.all([update.complete(), update.cancel()]);
      const outcome = `${completed.status} ${cancelled.status}`;
      expect(["204 409", "403 204"]).toContain(outcome);
      expect(await statusOf(update)).toBe(outcome === "204 409" ? "succeeded" : "failed");
      expect((await stack.send("GET", "")).body).not.toHaveProperty("currentOperation");
    }
  });
});
