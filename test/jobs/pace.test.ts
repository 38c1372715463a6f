import { describe, expect, it } from "vitest";
import { inBatches, nextRows } from "../../server/jobs/pace.ts";

describe("the pace of a sweep", () => {
  it("follows what the step before took, within bounds", () => {
    expect(nextRows(100, 1)).toBe(200);
    expect(nextRows(400, 1)).toBe(500);
    expect(nextRows(200, 10)).toBe(200);
    expect(nextRows(300, 20)).toBe(150);
    expect(nextRows(110, 2_000)).toBe(100);
  });

  it("rests between steps longer than they take, and ends with a step that found less", async () => {
    let left = 350;
    let busyMs = 0;
    const startedMs = performance.now();
    const swept = await inBatches(false, async (limit) => {
      const stepMs = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 20));
      const count = Math.min(limit, left);
      left -= count;
      if (count === limit) busyMs += performance.now() - stepMs;
      return count;
    });
    expect(swept).toEqual({ rows: 350, isCutOff: false });
    expect(performance.now() - startedMs).toBeGreaterThan(3 * busyMs);
  });

  it("says when it stopped at its bound", async () => {
    expect(await inBatches(false, async (limit) => limit, 250)).toMatchObject({ isCutOff: true });
  });

  it("asks once on a dry run", async () => {
    let calls = 0;
    const step = async (limit: number) => {
      calls += 1;
      return limit;
    };
    expect(await inBatches(true, step)).toEqual({ rows: 500, isCutOff: false });
    expect(calls).toBe(1);
  });
});
