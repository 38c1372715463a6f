import { describe, expect, it } from "vitest";
import type { Answer, StackClient } from "../support/client.ts";
import { freshStack } from "../support/journal.ts";
import { shareTestServer } from "../support/server.ts";

const server = shareTestServer();

const event = (
  sequence: number,
  more: Record<string, unknown> = { stdoutEvent: { message: `m${sequence}`, color: "" } },
) => ({
  sequence,
  timestamp: 1_700_000_000 + sequence,
  ...more,
});
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => event(from + i));
const sequences = (answer: Answer) => answer.body.events.map((it: { sequence: number }) => it.sequence);
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

const read = (stack: StackClient, id: string, token?: string) =>
  stack.send("GET", `/update/${id}/events${token === undefined ? "" : `?continuationToken=${token}`}`);

/** Reads as the CLI does, until the token is null; the update must have ended. */
async function readAll(stack: StackClient, id: string): Promise<{ all: number[]; pages: number }> {
  const all: number[] = [];
  let token: string | undefined;
  for (let pages = 1; pages < 100; pages++) {
    const page = await read(stack, id, token);
    expect(page, page.text).toMatchObject({ status: 200 });
    all.push(...sequences(page));
    if (page.body.continuationToken === null) return { all, pages };
    expect(page.body.continuationToken).toMatch(/^[A-Za-z0-9_-]+$/);
    token = page.body.continuationToken;
  }
  throw new Error("the token never ended");
}

describe("engine events", () => {
  it("begin at 0, and come back as they were sent", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    const events = [
      event(0, { preludeEvent: { config: { a: "[secret]" } }, unknown: { x: [1.5] } }),
      event(1),
    ];
    expect(await update.events(events)).toMatchObject({ status: 204 });
    expect((await read(stack, update.id)).body.events).toEqual(events);
  });

  it("have a token while the update runs, also when there is nothing new", async () => {
    const stack = await freshStack(server());
    const id = await stack.create();
    const early = await read(stack, id);
    expect(early).toMatchObject({ status: 200, body: { events: [], continuationToken: expect.any(String) } });
    const update = await stack.begin("preview", { dryRun: true });
    const none = await read(stack, update.id);
    expect(none.body.events).toEqual([]);
    expect(none.body.continuationToken).toMatch(/./);
    await update.events(range(0, 3));
    const some = await read(stack, update.id, none.body.continuationToken);
    expect(sequences(some)).toEqual([0, 1, 2]);
    const again = await read(stack, update.id, some.body.continuationToken);
    expect(again.body).toEqual({ events: [], continuationToken: some.body.continuationToken });
    await update.events(range(3, 5));
    expect(sequences(await read(stack, update.id, again.body.continuationToken))).toEqual([3, 4]);
    await update.complete();
    expect((await read(stack, update.id, "4")).body).toEqual({ events: [], continuationToken: null });
  });

  it("are put in order, whatever overtakes whatever, and nothing is skipped for a reader", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    await update.events(range(50, 100));
    const early = await read(stack, update.id);
    expect(sequences(early)).toEqual([]);
    await update.events(range(0, 50));
    expect(sequences(await read(stack, update.id, early.body.continuationToken))).toEqual(numbers(0, 100));
    await update.complete();
    expect((await readAll(stack, update.id)).all).toEqual(numbers(0, 100));
  });

  it("that come twice or overlap are there once", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    for (const [from, to] of [
      [0, 10],
      [0, 10],
      [5, 15],
      [3, 7],
      [14, 20],
    ] as const) {
      expect(await update.events(range(from, to))).toMatchObject({ status: 204 });
    }
    await update.complete();
    expect((await readAll(stack, update.id)).all).toEqual(numbers(0, 20));
  });

  it("in parallel batches are all kept", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    const batches = numbers(0, 30).map((i) => range(i * 10, i * 10 + 10));
    const answers = await Promise.all(
      batches.flatMap((batch) => [update.events(batch), update.events(batch)]),
    );
    expect(new Set(answers.map((it) => it.status))).toEqual(new Set([204]));
    await update.complete();
    expect((await readAll(stack, update.id)).all).toEqual(numbers(0, 300));
  });

  it("are given in pages to the end", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    for (let at = 0; at < 2500; at += 50) await update.events(range(at, at + 50));
    await update.complete();
    const { all, pages } = await readAll(stack, update.id);
    expect(all).toEqual(numbers(0, 2500));
    expect(pages).toBeGreaterThan(1);
  });

  it("with a gap are all there once the update has ended", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    await update.events([...range(0, 3), ...range(7, 9)]);
    await update.complete();
    expect((await readAll(stack, update.id)).all).toEqual([0, 1, 2, 7, 8]);
  });

  it("may be large, and many", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    const large = event(0, {
      diagnosticEvent: { message: "x".repeat(3 * 1024 * 1024), color: "", severity: "info" },
    });
    expect(await update.events([large, ...range(1, 50)])).toMatchObject({ status: 204 });
    const { body } = await read(stack, update.id);
    expect(body.events[0]).toEqual(large);
  });

  it("after complete are dropped or refused, but never a failure that is retried", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    await update.events(range(0, 2));
    await update.complete();
    const late = await update.events(range(2, 4));
    expect([200, 204, 403]).toContain(late.status);
    expect((await readAll(stack, update.id)).all).toEqual([0, 1]);
    const cancelled = await stack.begin();
    await cancelled.cancel();
    expect([200, 204, 403]).toContain((await cancelled.events(range(0, 1))).status);
  });

  it.each([
    { what: "no sequence", body: { events: [{ timestamp: 1 }] } },
    { what: "a negative sequence", body: { events: [event(-1)] } },
    { what: "a sequence with a fraction", body: { events: [event(0.5)] } },
    { what: "a sequence in words", body: { events: [{ ...event(0), sequence: "0" }] } },
    { what: "an event that is none", body: { events: [7] } },
    { what: "a list in place of the batch", body: [] },
    { what: "text in place of the list", body: { events: "x" } },
  ])("are refused with $what, and none of the batch is kept", async ({ body }) => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    const answer = await update.send("POST", "/events/batch", body);
    expect(answer).toMatchObject({ status: 400, body: { code: 400 } });
    expect((await read(stack, update.id)).body.events).toEqual([]);
  });

  it.each([{ events: [] }, { events: null }, {}, ""])("may be none: %j", async (body) => {
    const update = await (await freshStack(server())).begin();
    expect(await update.send("POST", "/events/batch", body)).toMatchObject({ status: 204 });
  });

  it("of the largest number can be read past", async () => {
    const stack = await freshStack(server());
    const update = await stack.begin();
    await update.events([event(0), event(Number.MAX_SAFE_INTEGER)]);
    await update.complete();
    expect((await readAll(stack, update.id)).all).toEqual([0, Number.MAX_SAFE_INTEGER]);
    expect(await read(stack, update.id, String(Number.MAX_SAFE_INTEGER))).toMatchObject({ status: 200 });
  });

  it.each(["x", "-2", "1.5", "%00", "9".repeat(40)])(
    "refuse a token that was never given: %s",
    async (token) => {
      const stack = await freshStack(server());
      const update = await stack.begin();
      expect(await read(stack, update.id, token)).toMatchObject({ status: 400, body: { code: 400 } });
    },
  );

  it("of another stack's update are not found", async () => {
    const update = await (await freshStack(server())).begin();
    const other = await freshStack(server());
    expect(await read(other, update.id)).toMatchObject({ status: 404, body: { code: 404 } });
  });
});
