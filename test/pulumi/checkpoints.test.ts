/** State saved whole or as differences, by CLIs that were not granted a journal. */
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { type Answer, sendRaw, type UpdateClient } from "../support/client.ts";
import { documentOf, freshStack, resource, rootResource } from "../support/journal.ts";
import { ADMIN_TOKEN, shareTestServer } from "../support/server.ts";

const server = shareTestServer({
  env: { STATEHOUSE_DELTA_CHECKPOINTS: "true", STATEHOUSE_DELTA_CUTOFF_BYTES: "0" },
});

const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");
const begin = async () => (await freshStack(server())).begin("update", { journal: false });
const EMPTY =
  '{"version":3,"deployment":{"manifest":{"time":"0001-01-01T00:00:00Z","magic":"","version":""}}}';

/** The body as the CLI writes it: the document's bytes stand in it as they are. */
const verbatim = (update: UpdateClient, document: string, sequenceNumber: unknown): Promise<Answer> =>
  update.send(
    "PATCH",
    "/checkpointverbatim",
    `{"version":3,"untypedDeployment":${document},"sequenceNumber":${JSON.stringify(sequenceNumber)}}`,
  );

interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

const delta = (
  update: UpdateClient,
  edits: readonly Edit[],
  checkpointHash: string,
  sequenceNumber: number,
) =>
  update.send("PATCH", "/checkpointdelta", {
    version: 3,
    checkpointHash,
    sequenceNumber,
    deploymentDelta: edits.map(({ start, end, text }) => ({
      Span: {
        uri: "",
        start: { line: 1, column: 1, offset: start },
        end: { line: 1, column: 1, offset: end },
      },
      NewText: text,
    })),
  });

/** What export gives after the update has ended. */
async function saved(update: UpdateClient): Promise<string> {
  expect(await update.complete()).toMatchObject({ status: 204 });
  return (await update.stack.send("GET", "/export")).text;
}

describe("a plain checkpoint", () => {
  it("is the whole new state, the last one counts, and repeats do no harm", async () => {
    const update = await begin();
    const [root, a] = [rootResource(update.stack), resource(update.stack, "a")];
    const { deployment: first } = documentOf([root]);
    const { deployment: second } = documentOf([root, a]);
    for (const deployment of [first, second, second])
      expect(await update.checkpoint(deployment)).toMatchObject({ status: 204 });
    expect(JSON.parse(await saved(update))).toEqual(documentOf([root, a]));
    expect((await update.stack.history())[0]).toMatchObject({ version: 1, resourceCount: 2 });
  });

  it("is not exported before the update has ended", async () => {
    const update = await begin();
    await update.checkpoint(documentOf([rootResource(update.stack)]).deployment);
    expect((await update.stack.send("GET", "/export")).text).toBe(EMPTY);
  });

  it("keeps its version and features", async () => {
    const update = await begin();
    const { deployment } = documentOf([resource(update.stack, "a", { taint: true })]);
    const body = { isInvalid: false, version: 4, features: ["taint"], deployment };
    expect(await update.send("PATCH", "/checkpoint", body)).toMatchObject({ status: 204 });
    expect(JSON.parse(await saved(update))).toEqual({ version: 4, features: ["taint"], deployment });
  });

  it("that calls the state invalid changes nothing", async () => {
    const update = await begin();
    await update.checkpoint(documentOf([rootResource(update.stack)]).deployment);
    expect(await update.send("PATCH", "/checkpoint", { isInvalid: true, version: 3 })).toMatchObject({
      status: 204,
    });
    expect(JSON.parse(await saved(update)).deployment.resources).toHaveLength(1);
  });

  it("of a cancelled update is its state", async () => {
    const update = await begin();
    await update.checkpoint(documentOf([rootResource(update.stack)]).deployment);
    await update.cancel();
    expect((await update.stack.deployment()).deployment.resources).toHaveLength(1);
  });

  it.each([
    { what: "version 0", body: { version: 0, deployment: {} } },
    { what: "version 5", body: { version: 5, deployment: {} } },
    { what: "no version", body: { deployment: {} } },
    { what: "a version in words", body: { version: "3", deployment: {} } },
    { what: "no deployment", body: { isInvalid: false, version: 3 } },
    { what: "null for a deployment", body: { isInvalid: false, version: 3, deployment: null } },
    { what: "a list for a deployment", body: { isInvalid: false, version: 3, deployment: [] } },
    { what: "a list", body: [] },
    { what: "nothing", body: "" },
    { what: "half a body", body: '{"version":3,"deployment":{"resources":[' },
  ])("is refused with $what", async ({ body }) => {
    const update = await begin();
    expect(await update.send("PATCH", "/checkpoint", body)).toMatchObject({
      status: 400,
      body: { code: 400 },
    });
    expect(await saved(update)).toBe(EMPTY);
  });
});

/** What a parser and its printer would change, each by itself. */
const DELICATE = [
  String.raw`"a":"\u003cb\u003e \u0026 \/ \ud83d\ude00 \u00e9"`,
  `"b":1.0`,
  `"c":12345678901234567890123456789`,
  `"d":1e400`,
  `"e":-0.0`,
  `"f":  [ 1 ,2 ]`,
  `"z":1,"z2":"é €😀"`,
  `"dup":1,"dup":2`,
].join(",");

const delicate = (name: string) =>
  `{"version":3, "deployment":{"manifest":{"time":"2026-01-02T03:04:05.6Z","magic":"","version":""},` +
  `"resources":[{"urn":"urn:pulumi:dev::p::t:m:A::${name}","custom":false,"type":"t:m:A","outputs":{${DELICATE}}}],"metadata":{}}}`;

describe("a verbatim checkpoint", () => {
  it("comes back byte for byte", async () => {
    const update = await begin();
    expect(await verbatim(update, delicate("a"), 1)).toMatchObject({ status: 204 });
    expect(await verbatim(update, delicate("café"), 2)).toMatchObject({ status: 204 });
    await update.complete();
    const path = `${update.stack.path}/export`;
    const headers = { authorization: `token ${ADMIN_TOKEN}` };
    const plain = await sendRaw(server(), "GET", path, headers);
    expect(plain.bytes.toString()).toBe(delicate("café"));
    const packed = await sendRaw(server(), "GET", path, { ...headers, "accept-encoding": "gzip" });
    const bytes = packed.headers["content-encoding"] === "gzip" ? gunzipSync(packed.bytes) : packed.bytes;
    expect(bytes.toString()).toBe(delicate("café"));
  });

  it("is found wherever it stands in the body", async () => {
    const update = await begin();
    const body = `{ "sequenceNumber" : 1, "other":{"untypedDeployment":{}}, "untypedDeployment" : ${delicate("b")} , "version" : 3 }`;
    expect(await update.send("PATCH", "/checkpointverbatim", body)).toMatchObject({ status: 204 });
    expect(await saved(update)).toBe(delicate("b"));
  });

  it("may repeat its number, come late, and must not leave a gap", async () => {
    const update = await begin();
    const documents = ["a", "b", "c", "d"].map(delicate);
    const [a = "", b = "", c = "", d = ""] = documents;
    expect(await verbatim(update, a, 1)).toMatchObject({ status: 204 });
    expect(await verbatim(update, a, 1)).toMatchObject({ status: 204 });
    expect(await verbatim(update, b, 2)).toMatchObject({ status: 204 });
    // Late: accepted, and not applied.
    expect(await verbatim(update, a, 1)).toMatchObject({ status: 204 });
    // The CLI's fallback after a refused difference: the same number, other bytes.
    expect(await verbatim(update, c, 2)).toMatchObject({ status: 204 });
    expect(await verbatim(update, d, 4)).toMatchObject({ status: 400, body: { code: 400 } });
    expect(await saved(update)).toBe(c);
  });

  it.each([
    { what: "no number", body: `{"version":3,"untypedDeployment":${delicate("a")}}` },
    {
      what: "a number in words",
      body: `{"version":3,"untypedDeployment":${delicate("a")},"sequenceNumber":"1"}`,
    },
    {
      what: "a negative number",
      body: `{"version":3,"untypedDeployment":${delicate("a")},"sequenceNumber":-1}`,
    },
    {
      what: "a first number that is not 1",
      body: `{"version":3,"untypedDeployment":${delicate("a")},"sequenceNumber":2}`,
    },
    {
      what: "two documents",
      body: `{"untypedDeployment":${delicate("a")},"untypedDeployment":${delicate("b")},"sequenceNumber":1}`,
    },
    { what: "no document", body: `{"version":3,"sequenceNumber":1}` },
    { what: "null for a document", body: `{"version":3,"untypedDeployment":null,"sequenceNumber":1}` },
    { what: "a document cut off", body: `{"version":3,"untypedDeployment":${delicate("a").slice(0, 80)}` },
  ])("is refused with $what", async ({ body }) => {
    const update = await begin();
    const answer = await update.send("PATCH", "/checkpointverbatim", body);
    expect(answer).toMatchObject({ status: 400, body: { code: 400 } });
    expect(await saved(update)).toBe(EMPTY);
  });
});

/** Section 4.7 of the protocol reference. */
const VECTOR = {
  base:
    '{"version":3,"deployment":{"manifest":{"time":"2024-01-01T00:00:00Z","magic":"","version":""},"metadata":{},' +
    '"resources":[{"urn":"urn:pulumi:dev::p::t:m:A::café","custom":false,"type":"t:m:A"},' +
    '{"urn":"urn:pulumi:dev::p::t:m:A::b","custom":false,"type":"t:m:A"}]}}',
  baseHash: "87a35392a79e4b476a54139898001553097924fba8e8c1bd7f2d6d6a6eaf1792",
  edit: {
    start: 193,
    end: 260,
    text: String.raw`{"urn":"urn:pulumi:dev::p::t:m:A::b","custom":false,"type":"t:m:A","outputs":{"k":"\u003cx\u003e"}}`,
  },
  resultHash: "7c5db82cc90506b19d264698a40403ef465346fe1d03340320a7b68a3305807e",
} as const;

/** Applied as the reference says: on bytes. */
function edited(base: string, { start, end, text }: Edit): string {
  const bytes = Buffer.from(base);
  return Buffer.concat([bytes.subarray(0, start), Buffer.from(text), bytes.subarray(end)]).toString();
}

describe("a delta checkpoint", () => {
  const beginWithBase = async () => {
    const update = await begin();
    expect(await verbatim(update, VECTOR.base, 1)).toMatchObject({ status: 204 });
    return update;
  };

  it("gives the bytes of the reference's test vector", async () => {
    expect([Buffer.byteLength(VECTOR.base), sha256(VECTOR.base)]).toEqual([263, VECTOR.baseHash]);
    const update = await beginWithBase();
    expect(await delta(update, [VECTOR.edit], VECTOR.resultHash, 2)).toMatchObject({ status: 204 });
    const text = await saved(update);
    expect(sha256(text)).toBe(VECTOR.resultHash);
    expect(text).toBe(edited(VECTOR.base, VECTOR.edit));
  });

  it("may be empty, insert at both ends, and follow another delta", async () => {
    const update = await beginWithBase();
    expect(await delta(update, [], VECTOR.baseHash, 2)).toMatchObject({ status: 204 });
    const spaced = ` ${VECTOR.base}\n`;
    const ends = [
      { start: 0, end: 0, text: " " },
      { start: 263, end: 263, text: "\n" },
    ];
    expect(await delta(update, ends, sha256(spaced), 3)).toMatchObject({ status: 204 });
    const time = { start: spaced.indexOf("2024"), end: spaced.indexOf("2024") + 4, text: "2025" };
    const last = edited(spaced, time);
    expect(await delta(update, [time], sha256(last), 4)).toMatchObject({ status: 204 });
    expect(await saved(update)).toBe(last);
  });

  it("counts bytes, also behind characters of two, three and four", async () => {
    const update = await begin();
    const base = VECTOR.base.replace("café", "é€😀");
    await verbatim(update, base, 1);
    const start = Buffer.from(base).indexOf('::b"') + 2;
    const edit = { start, end: start + 1, text: "ü😀" };
    const result = edited(base, edit);
    expect(await delta(update, [edit], sha256(result), 2)).toMatchObject({ status: 204 });
    expect(await saved(update)).toBe(result);
    expect(result).toContain("::ü😀");
  });

  it("with the wrong hash is refused, and its number taken again by the whole document", async () => {
    const update = await beginWithBase();
    const utf16 = { ...VECTOR.edit, start: 192, end: 259 };
    const answer = await delta(update, [utf16], VECTOR.resultHash, 2);
    expect(answer).toMatchObject({ status: 400, body: { code: 400 } });
    const whole = edited(VECTOR.base, VECTOR.edit);
    expect(await verbatim(update, whole, 2)).toMatchObject({ status: 204 });
    const again = { start: 0, end: 0, text: " " };
    expect(await delta(update, [again], sha256(` ${whole}`), 3)).toMatchObject({ status: 204 });
    expect(await saved(update)).toBe(` ${whole}`);
  });

  it("may repeat and come late, and must not leave a gap", async () => {
    const update = await beginWithBase();
    const result = edited(VECTOR.base, VECTOR.edit);
    for (let i = 0; i < 2; i++)
      expect(await delta(update, [VECTOR.edit], VECTOR.resultHash, 2)).toMatchObject({ status: 204 });
    expect(await delta(update, [], VECTOR.baseHash, 1)).toMatchObject({ status: 204 });
    expect(await delta(update, [], VECTOR.resultHash, 4)).toMatchObject({ status: 400, body: { code: 400 } });
    expect(await saved(update)).toBe(result);
  });

  const { base, baseHash } = VECTOR;
  it.each([
    { what: "past the end", edits: [{ start: 263, end: 264, text: "" }] },
    { what: "far past the end", edits: [{ start: 2 ** 52, end: 2 ** 52, text: "" }] },
    { what: "that ends before it begins", edits: [{ start: 20, end: 10, text: "" }] },
    { what: "that is negative", edits: [{ start: -1, end: 10, text: "" }] },
    { what: "that is a fraction", edits: [{ start: 1.5, end: 10, text: "" }] },
    {
      what: "that overlaps the one before",
      edits: [
        { start: 10, end: 20, text: "" },
        { start: 19, end: 30, text: "" },
      ],
    },
    {
      what: "that precedes the one before",
      edits: [
        { start: 50, end: 60, text: "" },
        { start: 10, end: 20, text: "" },
      ],
    },
  ])("with a span $what is refused, and the state stays", async ({ edits }) => {
    const update = await beginWithBase();
    expect(await delta(update, edits, baseHash, 2)).toMatchObject({ status: 400, body: { code: 400 } });
    expect(await saved(update)).toBe(base);
  });

  it("whose result is no document is refused although the hash is right", async () => {
    const update = await beginWithBase();
    const cut = { start: 100, end: 263, text: "" };
    const answer = await delta(update, [cut], sha256(edited(base, cut)), 2);
    expect(answer).toMatchObject({ status: 400, body: { code: 400 } });
    expect(await saved(update)).toBe(base);
  });

  it("with nothing saved before is refused", async () => {
    const update = await begin();
    expect(await delta(update, [], baseHash, 1)).toMatchObject({ status: 400, body: { code: 400 } });
  });

  it.each([
    { what: "no hash", body: { version: 3, sequenceNumber: 2, deploymentDelta: [] } },
    {
      what: "a hash that is none",
      body: { version: 3, sequenceNumber: 2, deploymentDelta: [], checkpointHash: "x" },
    },
    {
      what: "a text for a list",
      body: { version: 3, sequenceNumber: 2, deploymentDelta: "x", checkpointHash: baseHash },
    },
    {
      what: "edits that are none",
      body: { version: 3, sequenceNumber: 2, deploymentDelta: [7], checkpointHash: baseHash },
    },
    { what: "a list", body: [] },
    { what: "nothing", body: "" },
  ])("with $what is refused", async ({ body }) => {
    const update = await beginWithBase();
    expect(await update.send("PATCH", "/checkpointdelta", body)).toMatchObject({
      status: 400,
      body: { code: 400 },
    });
  });

  it("runs eight saves at once without a failure of the server", async () => {
    const update = await beginWithBase();
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => delta(update, [VECTOR.edit], VECTOR.resultHash, 2)),
    );
    for (const { status } of answers) expect(status).toBeLessThan(500);
    expect(await saved(update)).toBe(edited(base, VECTOR.edit));
  });
});
