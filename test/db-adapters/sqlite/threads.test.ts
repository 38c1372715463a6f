import { describe, expect, it, onTestFinished, vi } from "vitest";
import { afterCommit, CALM, isHigh, isLow, type Load } from "../../../db-adapters/sqlite/load.ts";
import { times } from "../../conformance/database/support.ts";
import { makeSqlite } from "./support.ts";

function loadAfter(load: Load, commits: readonly number[]): Load {
  return commits.reduce(afterCommit, load);
}

function repeated(writes: number, count: number): number[] {
  return Array.from({ length: count }, () => writes);
}

describe("how busy the database is", () => {
  it("is calm while writes come one by one", () => {
    const load = loadAfter(CALM, repeated(1, 100));
    expect([isHigh(load), isLow(load)]).toEqual([false, true]);
  });

  it("is busy once many share each commit, not after one large one", () => {
    expect(isHigh(loadAfter(CALM, [8]))).toBe(false);
    expect(isHigh(loadAfter(CALM, repeated(4, 30)))).toBe(true);
  });

  it("does not go to and fro between two and one", () => {
    const busy = loadAfter(CALM, repeated(4, 100));
    expect(isLow(loadAfter(busy, repeated(1, 10)))).toBe(false);
    expect(isLow(loadAfter(busy, repeated(1, 100)))).toBe(true);
  });
});

/** Threads of this process that a test's database runs, apart from the test runner's own. */
function threads(): number {
  return process.getActiveResourcesInfo().filter((it) => it === "MessagePort").length;
}

/** Writes and reads back by as many at once as `clients`, until `done`. */
async function load(
  db: Awaited<ReturnType<typeof makeSqlite>>["db"],
  clients: number,
  rounds: number,
  name: string,
) {
  await times(clients, async (client) => {
    for (let round = 0; round < rounds; round++) {
      const id = `${name}-${client}-${round}`;
      await db.createOrganization({ id, name: id, nowMs: 1 });
      expect((await db.findOrganization(id))?.id).toBe(id);
    }
  });
}

describe("two threads", () => {
  it("keep and show all that was acknowledged, whichever thread wrote it", { timeout: 60_000 }, async () => {
    const { db, reopen } = await makeSqlite({ thread: "either" });
    const before = threads();
    for (const part of ["a", "b", "c"]) {
      await load(db, 32, 40, `${part}many`);
      await load(db, 1, 60, `${part}one`);
    }
    expect(threads()).toBeGreaterThan(before);
    expect((await db.findOrganization("amany-31-39"))?.id).toBe("amany-31-39");
    const again = await reopen();
    for (const part of ["a", "b", "c"]) {
      expect((await again.findOrganization(`${part}many-7-39`))?.id).toBe(`${part}many-7-39`);
      expect((await again.findOrganization(`${part}one-0-59`))?.id).toBe(`${part}one-0-59`);
    }
  });

  it("end the second when nobody has called for a minute, and start it again when it is needed", {
    timeout: 60_000,
  }, async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const { db } = await makeSqlite({ thread: "either" });
    const before = threads();
    for (const part of ["a", "b"]) {
      await load(db, 32, 40, part);
      expect(threads()).toBeGreaterThan(before);
      const isOver = () => {
        vi.advanceTimersByTime(61_000); // again, should the thread still have been starting
        expect(threads()).toBe(before);
      };
      await vi.waitFor(isOver, { timeout: 5_000 });
      expect((await db.findOrganization(`${part}-31-39`))?.id).toBe(`${part}-31-39`);
    }
  });

  it("close with calls under way: each is answered", { timeout: 60_000 }, async () => {
    const { db, reopen } = await makeSqlite({ thread: "either" });
    await load(db, 32, 40, "warm");
    const ids = Array.from({ length: 100 }, (_, i) => `last-${i}`);
    const writes = Promise.allSettled(ids.map((id) => db.createOrganization({ id, name: id, nowMs: 1 })));
    await db.close();
    expect((await writes).map((it) => it.status)).toEqual(ids.map(() => "fulfilled"));
    const again = await reopen();
    expect((await again.findOrganization("last-99"))?.id).toBe("last-99");
  });
});
