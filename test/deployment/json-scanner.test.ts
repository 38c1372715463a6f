import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { elementsOf, membersOf, withMembers } from "../../server/deployment/json-members.ts";
import { CAPTURE, ENTER, JsonScanError, JsonScanner, SKIP } from "../../server/deployment/json-scanner.ts";
import { compactJson } from "../../server/deployment/json-text.ts";
import { bytes } from "./support.ts";

/** The reason for refusal, or "accepted". */
function verdict(text: string, chunkBytes: number, depthMax?: number): string {
  const scanner = new JsonScanner(
    { begin: () => SKIP, key: () => undefined, end: () => undefined },
    depthMax,
  );
  const all = bytes(text);
  try {
    for (let at = 0; at < all.length; at += chunkBytes) scanner.write(all.subarray(at, at + chunkBytes));
    scanner.end();
    return "accepted";
  } catch (error) {
    if (error instanceof JsonScanError) return error.reason;
    throw error;
  }
}

function parserVerdict(text: string): string {
  try {
    JSON.parse(text);
    return "accepted";
  } catch {
    return "malformed_json";
  }
}

const VALID = [
  "0",
  "-0",
  "1.0",
  "-12.5e+10",
  "1E5",
  '""',
  '"\\u00e9\\n"',
  "[]",
  "{}",
  " [ 1 , { } ] ",
  "null",
  '{"":0}',
];
const MALFORMED = [
  ...["", " ", "01", "-", "1.", ".5", "1e", "1e+", "+1", "0x1", "NaN", "tru", "truex", "nul", "True"],
  ...[
    '"',
    '"\\',
    '"\\x"',
    '"\\u12G4"',
    '"\n"',
    "'a'",
    "[",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "]",
    "{",
    '{"a"',
  ],
  ...[
    '{"a":',
    '{"a":1',
    '{"a":1,}',
    "{a:1}",
    '{"a" 1}',
    '{"a":1 "b":2}',
    "[}",
    "{]",
    "[1}",
    "1 2",
    "{} {}",
    "[]]",
    "\ufeff1",
  ],
];

/** Text that is JSON, or nearly so. */
const almostJson = fc
  .tuple(fc.json({ maxDepth: 5 }), fc.nat(), fc.constantFrom("", ...'{}[]",:\\0e.-+tu\n \u0001é'))
  .chain(([text, at, put]) => {
    const i = at % (text.length + 1);
    const insert = text.slice(0, i) + put + text.slice(i);
    const replace = text.slice(0, i) + put + text.slice(i + 1);
    return fc.constantFrom(text, insert, replace, text.slice(0, i));
  });

describe("the JSON scanner", () => {
  it.each(VALID)("accepts %j", (text) => {
    for (const chunkBytes of [1, 2, 1000]) expect(verdict(text, chunkBytes)).toBe("accepted");
  });

  it.each(MALFORMED)("refuses %j", (text) => {
    for (const chunkBytes of [1, 2, 1000]) expect(verdict(text, chunkBytes)).toBe("malformed_json");
  });

  it("agrees with JSON.parse on generated and broken JSON, however it is cut", () => {
    const property = fc.property(almostJson, fc.integer({ min: 1, max: 40 }), (text, chunkBytes) => {
      expect(verdict(text, chunkBytes)).toBe(parserVerdict(text));
    });
    fc.assert(property, { numRuns: 3000 });
  });

  it("counts nesting instead of recursing", () => {
    const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
    expect(verdict(nested(512), 100)).toBe("accepted");
    expect(verdict(nested(513), 100)).toBe("too_deep");
    expect(verdict(nested(513), 100, 513)).toBe("accepted");
    expect(verdict(nested(2_000_000), 65_536, 3_000_000)).toBe("accepted");
  });

  it("says where the text goes wrong", () => {
    expect(() => membersOf(bytes('{"a":1,}'))).toThrow("Expected a member name at byte 7");
  });

  it("gives the same members, bytes and offsets however it is cut", () => {
    const text = ' {"a" : [1.0, {"b":"\\u0063"}], "\\u0064é":"x\\"y", "n":-1.50e3 ,"o":{"p":null}}';
    const read = (chunkBytes: number): unknown => {
      const seen: unknown[] = [];
      const scanner = new JsonScanner({
        begin: (depth) => (depth === 0 ? ENTER : CAPTURE),
        key: (depth, name) => seen.push([depth, name]),
        end: (depth, offset, raw) => seen.push([depth, offset, raw && Buffer.from(raw).toString()]),
      });
      const all = bytes(text);
      for (let at = 0; at < all.length; at += chunkBytes) scanner.write(all.slice(at, at + chunkBytes));
      scanner.end();
      return seen;
    };
    const whole = read(1000);
    expect(whole).toContainEqual([1, "dé"]);
    expect(whole).toContainEqual([1, 29, '[1.0, {"b":"\\u0063"}]']);
    expect(whole).toContainEqual([1, expect.any(Number), "-1.50e3"]);
    for (let chunkBytes = 1; chunkBytes < 20; chunkBytes += 1) expect(read(chunkBytes)).toEqual(whole);
  });
});

describe("members of JSON in memory", () => {
  const slice = (all: Uint8Array, span: { start: number; end: number } | undefined): string =>
    span === undefined ? "" : Buffer.from(all.subarray(span.start, span.end)).toString();

  it("finds values by unescaped name, the last of a name that comes twice", () => {
    const all = bytes('{ "a\\u0062" : 1.0 , "x":{"y":[ ]}, "ab":2.50}');
    const members = membersOf(all);
    expect([...members.keys()]).toEqual(["ab", "x"]);
    expect(slice(all, members.get("ab"))).toBe("2.50");
    expect(slice(all, members.get("x"))).toBe('{"y":[ ]}');
  });

  it("agrees with JSON.parse on any object and array", () => {
    const object = fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const all = bytes(value);
      const entries = [...membersOf(all)].map(([name, span]) => [name, JSON.parse(slice(all, span))]);
      expect(new Map(entries as [string, unknown][])).toEqual(
        new Map(Object.entries(JSON.parse(JSON.stringify(value)))),
      );
    });
    fc.assert(object, { numRuns: 300 });
    const array = fc.property(fc.array(fc.jsonValue()), (value) => {
      const all = bytes(value);
      expect(elementsOf(all).map((span) => JSON.parse(slice(all, span)))).toEqual(
        JSON.parse(JSON.stringify(value)),
      );
    });
    fc.assert(array, { numRuns: 300 });
  });

  it.each(["[]", "1", "", '{"a":1', '{"a":1}x'])("refuses %j as an object", (text) => {
    expect(() => membersOf(bytes(text))).toThrow(JsonScanError);
  });

  it("changes, drops and adds members and leaves the others' bytes", () => {
    const object = bytes('{ "n": 1.0, "gone": [1], "big":12345678901234567890, "old":"x"}');
    const changes = new Map<string, Uint8Array | null>([
      ["gone", null],
      ["old", bytes('"y"')],
      ["new", bytes("true")],
    ]);
    const changed = Buffer.from(withMembers(object, changes)).toString();
    expect(changed).toBe('{"n":1.0,"big":12345678901234567890,"old":"y","new":true}');
    expect(Buffer.from(withMembers(bytes('{"a":1}'), new Map([["a", null]]))).toString()).toBe("{}");
  });

  it("takes white space out between tokens only", () => {
    const compact = Buffer.from(compactJson(bytes('{ "a b" :\n[ 1 , "\\" \\\\" ]\t}'))).toString();
    expect(compact).toBe('{"a b":[1,"\\" \\\\"]}');
  });
});
