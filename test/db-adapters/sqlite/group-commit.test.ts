import { describe, expect, it } from "vitest";
import { DatabaseUnavailableError } from "../../../db-adapters/contract.ts";
import { times } from "../../conformance/database/support.ts";
import { makeSqlite } from "./support.ts";

const PAGE = { after: null, limit: 1000 };

function audit(id: string) {
  return { id, atMs: 1, actor: "a", action: "x", organization: null, target: "t", sourceIp: "::1" };
}

describe("group commit", () => {
  it("shares commits among those who wait", async () => {
    const sizes: number[] = [];
    const { db } = await makeSqlite({ onCommit: (size) => sizes.push(size) });
    sizes.length = 0;
    await times(200, (i) => db.createOrganization({ id: `o${i}`, name: `n${i}`, nowMs: 1 }));
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(200);
    expect(Math.max(...sizes)).toBeGreaterThan(1);
    expect(sizes.length).toBeLessThan(200);
  });

  it("tells how long a commit took", async () => {
    const durations: number[] = [];
    const { db } = await makeSqlite({ onCommit: (_, durationMs) => durations.push(durationMs) });
    await db.createOrganization({ id: "o", name: "n", nowMs: 1 });
    expect(durations.at(-1)).toBeGreaterThan(0);
  });

  it("rolls back alone what fails, however much it wrote before", async () => {
    const { db } = await makeSqlite();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 40 }, (_, i) =>
        // Every fourth writes one event and then the same id again.
        db.appendAuditEvents(i % 4 === 0 ? [audit(`a${i}`), audit(`a${i}`)] : [audit(`a${i}`)]),
      ),
    );
    expect(outcomes.filter((outcome) => outcome.status === "rejected")).toHaveLength(10);
    const stored = (await db.listAuditEvents({}, PAGE)).map((event) => event.id);
    expect(stored).toHaveLength(30);
    expect(stored).not.toContain("a4");
  });

  it("rolls back one that fails alone in its batch", async () => {
    const { db } = await makeSqlite();
    await expect(db.appendAuditEvents([audit("a"), audit("a")])).rejects.toThrow("UNIQUE");
    expect(await db.listAuditEvents({}, PAGE)).toEqual([]);
    await db.appendAuditEvents([audit("a")]);
    expect(await db.listAuditEvents({}, PAGE)).toHaveLength(1);
  });

  it("answers reads from committed data, and sees what was acknowledged", async () => {
    const { db } = await makeSqlite();
    await times(50, async (i) => {
      await db.createOrganization({ id: `o${i}`, name: `n${i}`, nowMs: 1 });
      expect(await db.findOrganization(`n${i}`)).not.toBeNull();
    });
  });

  it("refuses what would make the queue grow without end", async () => {
    const { db } = await makeSqlite();
    const claims = Array.from({ length: 10_050 }, (_, i) => db.claimSetting(`k${i}`, ""));
    const outcomes = await Promise.allSettled(claims);
    const rejected = outcomes.filter((outcome) => outcome.status === "rejected");
    expect(rejected).toHaveLength(50);
    expect(rejected[0]?.reason).toBeInstanceOf(DatabaseUnavailableError);
    await db.ping();
  });

  it("copies a slice of a large buffer alone", async () => {
    const { db } = await makeSqlite();
    await db.createOrganization({ id: "o", name: "acme", nowMs: 1 });
    const name = { organization: "acme", project: "p", stack: "s" };
    await db.createStack({ id: "s", name, tags: {}, state: null, nowMs: 1 });
    const large = Buffer.alloc(1_000_000, 7);
    const config = large.subarray(10, 20);
    const update = { stackId: "s", kind: "update", dryRun: false, actor: "a", metadata: "{}" } as const;
    await db.createUpdate({ id: "u", ...update, config, nowMs: 1 });
    expect(Buffer.from((await db.findUpdateById("u"))?.config ?? [])).toEqual(Buffer.alloc(10, 7));
    expect(large.byteLength).toBe(1_000_000);
  });
});
