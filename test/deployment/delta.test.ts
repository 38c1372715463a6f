import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { TextEdit } from "../../server/deployment/delta.ts";
import { applyDelta, DeltaError, parseDelta } from "../../server/deployment/delta.ts";
import { bytes, chunks, collect } from "./support.ts";

/** The test vector of section 4.7. */
const BASE =
  '{"version":3,"deployment":{"manifest":{"time":"2024-01-01T00:00:00Z","magic":"","version":""},"metadata":{},' +
  '"resources":[{"urn":"urn:pulumi:dev::p::t:m:A::café","custom":false,"type":"t:m:A"},' +
  '{"urn":"urn:pulumi:dev::p::t:m:A::b","custom":false,"type":"t:m:A"}]}}';
const NEW_TEXT =
  '{"urn":"urn:pulumi:dev::p::t:m:A::b","custom":false,"type":"t:m:A","outputs":{"k":"\\u003cx\\u003e"}}';
const HASH = "7c5db82cc90506b19d264698a40403ef465346fe1d03340320a7b68a3305807e";

const point = (offset: unknown): object => ({ line: 1, column: 1, offset });
const wireEdit = (start: unknown, end: unknown, text: unknown): object => ({
  Span: { uri: "", start: point(start), end: point(end) },
  NewText: text,
});
const BODY = {
  version: 3,
  checkpointHash: HASH,
  sequenceNumber: 2,
  deploymentDelta: [wireEdit(193, 260, NEW_TEXT)],
};

const sha256 = (text: string): string => createHash("sha256").update(text, "utf8").digest("hex");
const edit = (start: number, end: number, text: string): TextEdit => ({ start, end, newText: bytes(text) });

function refusal(body: unknown): string {
  try {
    parseDelta(bytes(body));
  } catch (error) {
    if (error instanceof DeltaError) return error.reason;
  }
  throw new Error("expected a DeltaError");
}

describe("a delta checkpoint", () => {
  it("gives the bytes of the protocol's test vector", async () => {
    expect(sha256(BASE)).toBe("87a35392a79e4b476a54139898001553097924fba8e8c1bd7f2d6d6a6eaf1792");
    const delta = parseDelta(bytes(BODY));
    expect(delta).toMatchObject({ version: 3, checkpointHash: HASH, sequenceNumber: 2 });
    for (const chunkBytes of [null, 1, 10, 193, 260]) {
      expect(sha256(await collect(applyDelta(chunks(bytes(BASE), chunkBytes), delta.edits)))).toBe(HASH);
    }
  });

  it("without edits gives the base", async () => {
    for (const deploymentDelta of [[], null]) {
      const { edits } = parseDelta(bytes({ ...BODY, deploymentDelta }));
      expect(await collect(applyDelta(chunks(bytes(BASE), 9), edits))).toBe(BASE);
    }
  });

  it("keeps the order of insertions at one place, at the start and at the end", async () => {
    const edits = [
      edit(0, 0, "<"),
      edit(0, 0, "("),
      edit(2, 3, ""),
      edit(3, 3, "|"),
      edit(4, 4, ")"),
      edit(4, 4, ">"),
    ];
    for (const chunkBytes of [null, 1, 2, 3]) {
      expect(await collect(applyDelta(chunks(bytes("abcd"), chunkBytes), edits))).toBe("<(ab|d)>");
    }
    expect(await collect(applyDelta(chunks(bytes("")), [edit(0, 0, "new")]))).toBe("new");
  });

  it("agrees with splicing the whole at once", async () => {
    const edits = fc.array(fc.tuple(fc.nat(6), fc.nat(6), fc.string({ maxLength: 5 })), { maxLength: 8 });
    const property = fc.asyncProperty(edits, fc.integer({ min: 1, max: 30 }), async (steps, chunkBytes) => {
      const base = bytes("0123456789".repeat(12));
      let at = 0;
      let expected = "";
      const list = steps.map(([skip, length, text]) => {
        const start = at + skip;
        expected += Buffer.from(base.subarray(at, start)).toString() + text;
        at = start + length;
        return edit(start, at, text);
      });
      expected += Buffer.from(base.subarray(at)).toString();
      expect(await collect(applyDelta(chunks(base, chunkBytes), list))).toBe(
        Buffer.from(bytes(expected)).toString(),
      );
    });
    await fc.assert(property, { numRuns: 300 });
  });

  it.each([
    ["overlap", [edit(0, 2, ""), edit(1, 3, "")], "span_out_of_order"],
    ["descend", [edit(2, 3, ""), edit(0, 1, "")], "span_out_of_order"],
    ["end before they start", [edit(2, 1, "")], "span_out_of_order"],
    ["end past the base", [edit(2, 5, "")], "span_out_of_bounds"],
    ["start past the base", [edit(5, 5, "x")], "span_out_of_bounds"],
  ])("refuses edits that %s", async (_what, edits, reason) => {
    for (const chunkBytes of [null, 1, 3]) {
      const applied = collect(applyDelta(chunks(bytes("abcd"), chunkBytes), edits));
      await expect(applied).rejects.toMatchObject({ name: "DeltaError", reason });
    }
  });

  it.each([
    ["that is cut off", '{"version":3', "malformed_json"],
    ["that is a list", "[]", "malformed_json"],
    ["nested too deeply", `{"a":${"[".repeat(100)}${"]".repeat(100)}}`, "too_deep"],
    ["without a hash", { ...BODY, checkpointHash: undefined }, "wrong_shape"],
    ["with a hash in capitals", { ...BODY, checkpointHash: HASH.toUpperCase() }, "wrong_shape"],
    ["without a sequence number", { ...BODY, sequenceNumber: undefined }, "wrong_shape"],
    ["with a fractional sequence number", { ...BODY, sequenceNumber: 1.5 }, "wrong_shape"],
    ["without edits", { ...BODY, deploymentDelta: undefined }, "wrong_shape"],
    ["with an object for edits", { ...BODY, deploymentDelta: {} }, "wrong_shape"],
    ["with a negative offset", { ...BODY, deploymentDelta: [wireEdit(-1, 2, "")] }, "wrong_shape"],
    ["with a fractional offset", { ...BODY, deploymentDelta: [wireEdit(1, 2.5, "")] }, "wrong_shape"],
    ["without text", { ...BODY, deploymentDelta: [wireEdit(1, 2, undefined)] }, "wrong_shape"],
    ["with an edit that is null", { ...BODY, deploymentDelta: [null] }, "wrong_shape"],
    [
      "with edits out of order",
      { ...BODY, deploymentDelta: [wireEdit(3, 4, ""), wireEdit(1, 2, "")] },
      "span_out_of_order",
    ],
  ])("refuses a body %s", (_what, body, reason) => {
    expect(refusal(body)).toBe(reason);
  });
});
