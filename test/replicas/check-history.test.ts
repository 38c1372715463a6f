/** The judge of histories is judged: what it must let pass, and each way in which it must say no. */
import { describe, expect, it } from "vitest";
import { checkHistory } from "./check-history.ts";
import type { Operation, OperationKind, StackEnd, Version } from "./history.ts";

const LEASE_MS = 300_000;

type More = Partial<Omit<Operation, "kind" | "updateId">>;

/** An operation of update `updateId` from `invokedMs` to 2 ms later, acknowledged unless said otherwise. */
function op(updateId: string, kind: OperationKind, invokedMs: number, more: More = {}): Operation {
  const lease = kind === "start" || kind === "renew" ? { leaseMs: LEASE_MS } : {};
  const place = { client: 0, stack: "dev", updateId, kind };
  return { ...place, invokedMs, endedMs: invokedMs + 2, outcome: "done", ...lease, ...more };
}

function version(number: number, updateId: string, names: string[] | null, result = "succeeded"): Version {
  return { version: number, updateId, names, result };
}

function end(...versions: Version[]): StackEnd {
  return { stack: "dev", versions, isHeld: false };
}

function journal(updateId: string, invokedMs: number, name: string, more: More = {}): Operation {
  return op(updateId, "journal", invokedMs, { names: [name], ...more });
}

const UNKNOWN = { outcome: "unknown" } as const;
const REFUSED = { outcome: "refused" } as const;

/** Update `a` as version 1 from 0 to 12 writes `x`; update `b` as version 2 from 20 to 32 writes `y`. */
const A = [
  op("a", "start", 0, { version: 1 }),
  journal("a", 5, "x"),
  op("a", "complete", 10, { status: "succeeded" }),
];
const B = [
  op("b", "start", 20, { version: 2 }),
  journal("b", 25, "y"),
  op("b", "complete", 30, { status: "succeeded" }),
];
const AB = end(version(1, "a", ["x"]), version(2, "b", ["x", "y"]));

describe("lets pass", () => {
  const passing: [string, Operation[], StackEnd][] = [
    ["nothing at all", [], end()],
    ["one update after the other", [...A, ...B], AB],
    ["a start that is refused while another holds", [...A, ...B, op("b", "start", 6, REFUSED)], AB],
    [
      "a cut write that was applied",
      [...A, journal("a", 6, "z", UNKNOWN), ...B],
      end(version(1, "a", ["x", "z"]), version(2, "b", ["x", "z", "y"])),
    ],
    ["a cut write that was not", [...A, journal("a", 6, "z", UNKNOWN), ...B], AB],
    ["a cut write that was sent again", [...A, journal("a", 4, "x", UNKNOWN), ...B], AB],
    ["a cut start that counted, and was sent again", [op("a", "start", -9, UNKNOWN), ...A, ...B], AB],
    [
      "a cut start that counted, unknown to its client, and was cancelled by another",
      [...A, op("b", "start", 20, UNKNOWN), op("b", "cancel", 30)],
      end(version(1, "a", ["x"]), version(2, "b", ["x"], "failed")),
    ],
    ["a cut start that never counted", [...A, op("c", "start", 6, UNKNOWN), ...B], AB],
    [
      "a complete that was cut and is acknowledged when it is sent again, after the next start",
      [
        op("a", "start", 0, { version: 1 }),
        op("a", "complete", 10, { status: "succeeded", ...UNKNOWN }),
        op("b", "start", 20, { version: 2 }),
        op("a", "complete", 30, { status: "succeeded" }),
        op("b", "complete", 40, { status: "succeeded" }),
      ],
      end(version(1, "a", null), version(2, "b", null)),
    ],
    [
      "a holder that is turned away after another's cancel",
      [
        op("a", "start", 0, { version: 1 }),
        journal("a", 5, "x"),
        op("a", "cancel", 10, { client: 1 }),
        journal("a", 11, "y", REFUSED),
        op("a", "complete", 20, { status: "succeeded", ...REFUSED }),
      ],
      end(version(1, "a", ["x"], "failed")),
    ],
    [
      "a holder whose lease ran out, and who wrote until another took over",
      [
        op("a", "start", 0, { version: 1 }),
        op("a", "renew", 5, { leaseMs: 1_000 }),
        journal("a", 1_500, "late"),
        op("b", "start", 1_501, { version: 2, endedMs: 1_510 }),
        journal("a", 1_511, "too late", REFUSED),
        op("b", "complete", 1_520, { status: "failed" }),
      ],
      end(version(1, "a", ["late"], "failed"), version(2, "b", ["late"], "failed")),
    ],
    [
      "checkpoints, of which the last one counts",
      [
        ...A,
        op("b", "start", 20, { version: 2 }),
        op("b", "checkpoint", 22, { names: ["one"] }),
        op("b", "checkpoint", 24, { names: ["one", "two"] }),
        op("b", "checkpoint", 26, { names: ["one", "two", "three"], ...UNKNOWN }),
        op("b", "cancel", 30),
      ],
      end(version(1, "a", ["x"]), version(2, "b", ["one", "two"], "failed")),
    ],
    [
      "two at the same time on two stacks",
      [...A, ...A.map((it) => ({ ...it, updateId: "c", stack: "prod" }))],
      end(version(1, "a", ["x"])),
    ],
  ];
  it.each(passing)("%s", (_, operations, stack) => {
    const prod = { ...end(version(1, "c", ["x"])), stack: "prod" };
    const ends = operations.some((it) => it.stack === "prod") ? [stack, prod] : [stack];
    expect(checkHistory(operations, ends)).toEqual([]);
  });
});

describe("says no to", () => {
  const failing: [string, RegExp, Operation[], StackEnd][] = [
    [
      "two holders at the same time",
      /double grant: b from 8, a until 10/,
      [...A, op("b", "start", 6, { version: 2 }), op("b", "complete", 30, { status: "succeeded" })],
      end(version(1, "a", ["x"]), version(2, "b", ["x"])),
    ],
    [
      "a second holder while the first has not ended at all",
      /double grant/,
      [op("a", "start", 0, { version: 1 }), ...B, op("a", "cancel", 90)],
      end(version(1, "a", null, "failed"), version(2, "b", ["y"])),
    ],
    [
      "a write by the first holder that is accepted after a second was granted",
      /double grant: b from 1502, a until 1600/,
      [
        op("a", "start", 0, { version: 1 }),
        op("a", "renew", 5, { leaseMs: 1_000 }),
        op("b", "start", 1_500, { version: 2 }),
        journal("a", 1_600, "late"),
        op("b", "complete", 1_700, { status: "succeeded" }),
      ],
      end(version(1, "a", ["late"], "failed"), version(2, "b", ["late"])),
    ],
    [
      "a second holder after a complete that was refused",
      /double grant/,
      [
        op("a", "start", 0, { version: 1 }),
        op("a", "complete", 5, { status: "succeeded", ...REFUSED }),
        ...B,
        op("a", "complete", 90, { status: "succeeded" }),
      ],
      end(version(1, "a", null), version(2, "b", ["y"])),
    ],
    [
      "versions in another order than the grants",
      /order: b was started before a/,
      [...A.map((it) => ({ ...it, invokedMs: it.invokedMs + 50, endedMs: it.endedMs + 50 })), ...B],
      AB,
    ],
    [
      "a gap in the versions",
      /versions: 3 where 2 belongs/,
      A,
      end(version(1, "a", ["x"]), version(3, "b", ["x"])),
    ],
    [
      "a version twice",
      /versions: 1 where 2 belongs/,
      [...A, ...B],
      end(version(1, "a", ["x"]), version(1, "b", ["x", "y"])),
    ],
    [
      "a version that nobody started",
      /2 is z, which nobody started/,
      A,
      end(version(1, "a", ["x"]), version(2, "z", ["x"])),
    ],
    [
      "a start whose version is another's",
      /b was started as 2 and is none/,
      [...A, ...B],
      end(version(1, "a", ["x"])),
    ],
    [
      "an acknowledged journal batch that is not in the state",
      /version 1 \(a\): an acknowledged write was lost: x/,
      A,
      end(version(1, "a", [])),
    ],
    [
      "an acknowledged write that a later version forgot",
      /version 2 \(b\): an acknowledged write was lost: x/,
      [...A, ...B],
      end(version(1, "a", ["x"]), version(2, "b", ["y"])),
    ],
    [
      "an acknowledged checkpoint that an older one replaced",
      /an acknowledged write was lost: two/,
      [
        op("a", "start", 0, { version: 1 }),
        op("a", "checkpoint", 2, { names: ["one"] }),
        op("a", "checkpoint", 5, { names: ["one", "two"] }),
        op("a", "complete", 10, { status: "succeeded" }),
      ],
      end(version(1, "a", ["one"])),
    ],
    [
      "a refused write in the state",
      /nobody wrote: z/,
      [...A, journal("a", 11, "z", REFUSED)],
      end(version(1, "a", ["x", "z"])),
    ],
    ["a write that was applied twice", /applied twice/, A, end(version(1, "a", ["x", "x"]))],
    [
      "a version without a state after one that had",
      /has no state/,
      [...A, ...B.filter((it) => it.kind !== "journal")],
      end(version(1, "a", ["x"]), version(2, "b", null)),
    ],
    [
      "a write that is accepted after the end",
      /journal of a was accepted after its end/,
      [...A, journal("a", 15, "z")],
      end(version(1, "a", ["x", "z"])),
    ],
    [
      "a start that is granted after the update's cancel",
      /start of a was accepted after its end/,
      [op("a", "cancel", 0), op("a", "start", 5, { version: 1 })],
      end(version(1, "a", null, "failed")),
    ],
    [
      "a complete and a cancel that are both acknowledged",
      /a ended twice: succeeded and cancelled/,
      [...A, op("a", "cancel", 11)],
      end(version(1, "a", ["x"])),
    ],
    [
      "another result than was acknowledged",
      /acknowledged as succeeded and is failed/,
      A,
      end(version(1, "a", ["x"], "failed")),
    ],
    [
      "a holder that is turned away for nothing",
      /journal of a was refused at 4 while held/,
      [...A, journal("a", 4, "z", REFUSED)],
      end(version(1, "a", ["x"])),
    ],
    [
      "a start that is refused while nobody holds the stack",
      /start of b was refused at 15 while free/,
      [...A, op("b", "start", 15, REFUSED), ...B],
      AB,
    ],
    ["a stack that stays held", /still held/, A, { ...end(version(1, "a", ["x"])), isHeld: true }],
    [
      "a stack that nobody looked at",
      /prod: not looked at/,
      [op("p", "start", 0, { stack: "prod", ...UNKNOWN })],
      end(),
    ],
  ];
  it.each(failing)("%s", (_, words, operations, stack) => {
    expect(checkHistory(operations, [stack]).join("\n")).toMatch(words);
  });
});
