import { describe, expect, it } from "vitest";
import { auditActions, makeUpdate, STACK, startWithPeople } from "./support.ts";

describe("leases", () => {
  it("say who runs what, where and since when", async () => {
    const api = await startWithPeople();
    const { updateId } = await makeUpdate(api);
    await makeUpdate(api, { isStarted: false, stack: "waiting" });
    expect((await api.send("GET", "/leases")).body).toEqual({
      items: [
        {
          ...STACK,
          updateId,
          kind: "update",
          dryRun: false,
          actor: "alice",
          since: "2026-03-01T12:00:00.000Z",
          expiresAt: "2026-03-01T12:05:00.000Z",
        },
      ],
    });
  });
});

describe("cancelling an update", () => {
  it("ends a running one and frees its stack", async () => {
    const api = await startWithPeople();
    const { updateId } = await makeUpdate(api);
    expect(await api.send("POST", `/updates/${updateId}/cancel`)).toMatchObject({ status: 204 });
    expect((await api.send("GET", "/leases")).body).toEqual({ items: [] });
    expect(await api.ctx.db.findUpdateById(updateId)).toMatchObject({
      status: "failed",
      ending: "cancelled",
    });
    const { body } = await api.send("GET", "/audit-events?organization=acme");
    expect(body.items?.[0]).toMatchObject({
      actor: "admin",
      action: "update.cancel",
      organization: "acme",
      target: `web/prod/${updateId}`,
    });
  });

  it("discards one that was never started", async () => {
    const api = await startWithPeople();
    const { updateId } = await makeUpdate(api, { isStarted: false });
    expect(await api.send("POST", `/updates/${updateId}/cancel`)).toMatchObject({ status: 204 });
    expect(await api.ctx.db.findUpdateById(updateId)).toMatchObject({ status: "discarded" });
  });

  it("is refused for one that has completed", async () => {
    const api = await startWithPeople();
    const { updateId } = await makeUpdate(api);
    const read = await api.ctx.db.readFold(updateId, null);
    if (read.kind !== "fold") throw new Error("the update should be running");
    await api.ctx.db.finishUpdate({
      ...{ updateId, tokenHash: null, status: "succeeded", ending: null, state: { kind: "unchanged" } },
      ...{ keepJournal: false, revision: read.input.revision, nowMs: api.ctx.nowMs() },
    });
    expect(await api.send("POST", `/updates/${updateId}/cancel`)).toMatchObject({
      status: 409,
      body: { message: "Conflict: The Update has already completed" },
    });
    expect(await auditActions(api)).not.toContain("update.cancel");
  });

  it("answers 404 for an unknown id and 400 for what is none", async () => {
    const api = await startWithPeople();
    expect(await api.send("POST", "/updates/nothing/cancel")).toMatchObject({ status: 404 });
    expect(await api.send("POST", `/updates/${"a".repeat(65)}/cancel`)).toMatchObject({ status: 400 });
  });
});
