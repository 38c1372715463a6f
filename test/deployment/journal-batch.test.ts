import { describe, expect, it } from "vitest";
import { JournalError, parseJournalBatch } from "../../server/deployment/journal.ts";
import { bytes } from "./support.ts";

const ENTRY = { version: 1, kind: 1, sequenceID: 7, operationID: 3, removeOld: null, removeNew: 0 };

function refusal(body: unknown, depthMax = 512): JournalError {
  try {
    parseJournalBatch(bytes(body), { depthMax });
  } catch (error) {
    if (error instanceof JournalError) return error;
  }
  throw new Error("expected a JournalError");
}

describe("a journal batch", () => {
  it("tells how many entries it has and their numbers, unknown members aside", () => {
    const entries = [
      { ...ENTRY, later: { deep: [1.0] } },
      { ...ENTRY, sequenceID: Number.MAX_SAFE_INTEGER },
      ENTRY,
    ];
    const read = parseJournalBatch(bytes({ later: 1, entries }));
    expect(read.map((it) => it.sequenceId)).toEqual([7, Number.MAX_SAFE_INTEGER, 7]);
  });

  it.each(['{"entries":[]}', '{"entries":null}'])("may be empty: %s", (body) => {
    expect(parseJournalBatch(bytes(body))).toEqual([]);
  });

  it.each([0, 1, 2, 3, 4, 6, 7, 9])("may hold an entry of kind %i that says nothing else", (kind) => {
    expect(parseJournalBatch(bytes({ entries: [{ ...ENTRY, kind }] }))).toHaveLength(1);
  });

  it.each([
    ["cut off", '{"entries":[{', "malformed_json"],
    ["not an object", "[]", "wrong_shape"],
    ["without entries", "{}", "wrong_shape"],
    ["with entries that are no list", '{"entries":{}}', "wrong_shape"],
    ["with entries twice", '{"entries":[],"entries":[]}', "wrong_shape"],
    ["with an entry that is no object", { entries: [null] }, "wrong_shape"],
  ])("is refused when %s", (_what, body, reason) => {
    expect(refusal(body).reason).toBe(reason);
  });

  it.each([
    ["another version", { version: 2 }, "unsupported_version"],
    ["no version", { version: undefined }, "unsupported_version"],
    ["a kind not known yet", { kind: 10 }, "unsupported_kind"],
    ["no kind", { kind: undefined }, "wrong_shape"],
    ["a negative kind", { kind: -1 }, "wrong_shape"],
    ["no sequenceID", { sequenceID: undefined }, "wrong_shape"],
    ["sequenceID 0", { sequenceID: 0 }, "wrong_shape"],
    ["a sequenceID past what a double holds", { sequenceID: 2 ** 53 }, "wrong_shape"],
    ["a fractional sequenceID", { sequenceID: 1.5 }, "wrong_shape"],
    ["a negative index", { removeOld: -1 }, "wrong_shape"],
    ["a reference that is text", { deleteNew: "1" }, "wrong_shape"],
    ["a state that is a list", { state: [] }, "wrong_shape"],
    ["an operation that is text", { operation: "x" }, "wrong_shape"],
    ["snippets that are an object", { snippets: {} }, "wrong_shape"],
    ["a flag that is a number", { isRefresh: 1 }, "wrong_shape"],
    ["kind 5 without a snapshot", { kind: 5 }, "wrong_shape"],
    ["kind 8 without an extension", { kind: 8, extensionRef: "x" }, "wrong_shape"],
  ])("is refused with %s, and the entry is named", (_what, change, reason) => {
    const error = refusal({
      entries: [
        { ...ENTRY, sequenceID: 6 },
        { ...ENTRY, ...change },
      ],
    });
    expect(error.reason).toBe(reason);
    expect(error.message).toMatch(/^Journal entry 1( \(sequenceID \d+\))? (is|has) .*\.$/);
  });

  it("is refused beyond the depth limit", () => {
    const body = { entries: [{ ...ENTRY, state: { inputs: [[[[]]]] } }] };
    expect(refusal(body, 7).reason).toBe("too_deep");
    expect(parseJournalBatch(bytes(body), { depthMax: 8 })).toHaveLength(1);
  });
});
