import { describe, expect, it } from "vitest";
import type { BodyShape, DocumentBody } from "../../server/deployment/document.ts";
import { DocumentError, EMPTY_DOCUMENT, readDocument } from "../../server/deployment/document.ts";
import { bytes, chunks, collect } from "./support.ts";

const EMPTY =
  '{"version":3,"deployment":{"manifest":{"time":"0001-01-01T00:00:00Z","magic":"","version":""}}}';
const AWKWARD =
  '{ "manifest":{"time":"2026-01-01T00:00:00Z","magic":"","version":""},' +
  '"future":{"x":[1.0,1e2]},"resources":[{"urn":"urn:pulumi:d::p::t:m:A::caf\\u00e9","custom":false,' +
  '"type":"t:m:A","outputs":{"n":12345678901234567890,"f":1.0,"s":"\\u003cé\\/"},"later":null}] }';

interface Read {
  readonly text: string;
  readonly body: DocumentBody;
}

async function read(
  shape: BodyShape,
  body: string,
  chunkBytes: number | null = null,
  depthMax = 512,
): Promise<Read> {
  const stream = readDocument(shape, chunks(bytes(body), chunkBytes), { depthMax });
  const text = await collect(stream.document);
  return { text, body: stream.result() };
}

async function refusal(shape: BodyShape, body: string, depthMax = 512): Promise<string> {
  const error = await read(shape, body, 5, depthMax).catch((thrown: unknown) => thrown);
  if (!(error instanceof DocumentError))
    throw new Error(`expected a DocumentError, got ${JSON.stringify(error)}`);
  expect(error.message).toMatch(/^[A-Z'].*\.$/);
  return error.reason;
}

describe("an untyped deployment", () => {
  it("is stored byte for byte, however it is cut", async () => {
    const document = ` {"features":["x","y"], "deployment":${AWKWARD},"other":[1.0],"version":4}\n`;
    for (const chunkBytes of [null, 1, 2, 7, 64]) {
      const { text, body } = await read("untyped", document, chunkBytes);
      expect(text).toBe(document);
      expect(body).toMatchObject({ isInvalid: false, version: 4, sequenceNumber: null, hasDeployment: true });
      expect(body.summary).toMatchObject({
        version: 4,
        features: ["x", "y"],
        resourceCount: 1,
        problemCount: 0,
      });
    }
  });

  it.each(["null", " null ", '{"version":3,"deployment":null}', '{"deployment":null}'])(
    "that is %j stands for a state without resources",
    async (document) => {
      for (const chunkBytes of [null, 1]) {
        const { text, body } = await read("untyped", document, chunkBytes);
        expect(text).toBe(EMPTY);
        expect(body).toMatchObject({
          hasDeployment: true,
          summary: { version: 3, resourceTotal: 0, problemCount: 0 },
        });
      }
    },
  );

  it("has an empty form that is itself sound", async () => {
    expect(Buffer.from(EMPTY_DOCUMENT).toString()).toBe(EMPTY);
    expect((await read("untyped", EMPTY)).body.summary.problemCount).toBe(0);
  });

  it.each([
    ["", "malformed_json"],
    ['{"version":3,"deployment":{}', "malformed_json"],
    ['{"version":3,"deployment":{}}x', "malformed_json"],
    ["[]", "wrong_shape"],
    ['"text"', "wrong_shape"],
    ['{"version":3,"deployment":[]}', "wrong_shape"],
    ['{"version":3,"deployment":"x"}', "wrong_shape"],
    ['{"version":"3","deployment":{}}', "wrong_shape"],
    ['{"version":3,"features":[1],"deployment":{}}', "wrong_shape"],
    ['{"version":3,"deployment":{},"deployment":{}}', "wrong_shape"],
    ['{"version":3,"deployment":{"resources":[],"resources":[]}}', "wrong_shape"],
    ['{"version":5,"deployment":{}}', "unsupported_version"],
    ['{"version":0,"deployment":{}}', "unsupported_version"],
    ['{"version":9,"deployment":null}', "unsupported_version"],
    ['{"deployment":{}}', "unsupported_version"],
    ['{"version":3}', "missing_deployment"],
    ["{}", "missing_deployment"],
  ])("that is %s is refused: %s", async (document, reason) => {
    expect(await refusal("untyped", document)).toBe(reason);
  });

  it.each([1, 2, 3, 4])("may be of version %i", async (version) => {
    expect((await read("untyped", `{"version":${version},"deployment":{}}`)).body.version).toBe(version);
  });

  it("is refused beyond the depth limit", async () => {
    const nested = `{"version":3,"deployment":{"x":${"[".repeat(20)}${"]".repeat(20)}}}`;
    expect(await refusal("untyped", nested, 21)).toBe("too_deep");
    expect((await read("untyped", nested, null, 22)).text).toBe(nested);
  });

  it("is refused when more than a megabyte comes before the deployment", async () => {
    const late = `{"version":3,"padding":"${"x".repeat(2_000_000)}","deployment":{}}`;
    await expect(read("untyped", late, 65_536)).rejects.toThrow("'deployment' comes too late");
  });

  it("has no result before it was read", () => {
    expect(() => readDocument("untyped", chunks(bytes(EMPTY))).result()).toThrow("not read to its end");
  });
});

describe("a checkpoint", () => {
  it("is stored without isInvalid, in the order of the wire, values byte for byte", async () => {
    const body = `{ "version" : 4,"isInvalid":false, "features":[ "hooks" ],"deployment":${AWKWARD} , "new":1.0}`;
    for (const chunkBytes of [null, 1, 3, 50]) {
      const read_ = await read("checkpoint", body, chunkBytes);
      expect(read_.text).toBe(`{"version":4,"features":[ "hooks" ],"deployment":${AWKWARD},"new":1.0}`);
      expect(read_.body).toMatchObject({ isInvalid: false, version: 4, hasDeployment: true });
      expect(read_.body.summary).toMatchObject({ features: ["hooks"], resourceTotal: 1 });
    }
  });

  it.each([
    '{"isInvalid":true,"version":3}',
    '{"version":3,"deployment":null,"isInvalid":true}',
    '{"isInvalid":true}',
  ])("that only says the state is invalid stores nothing: %s", async (body) => {
    const { text, body: result } = await read("checkpoint", body, 4);
    expect(text).toBe("");
    expect(result).toMatchObject({ isInvalid: true, hasDeployment: false });
  });

  it.each([
    ['{"isInvalid":false,"version":3}', "missing_deployment"],
    ['{"version":3,"deployment":null}', "missing_deployment"],
    ['{"isInvalid":false,"version":5,"deployment":{}}', "unsupported_version"],
    ['{"isInvalid":"no","version":3,"deployment":{}}', "wrong_shape"],
    ["null", "wrong_shape"],
  ])("that is %s is refused: %s", async (body, reason) => {
    expect(await refusal("checkpoint", body)).toBe(reason);
  });
});

describe("a verbatim checkpoint", () => {
  const document = `{ "version":3 , "deployment":${AWKWARD}}`;

  it.each([
    `{"version":3,"untypedDeployment":${document},"sequenceNumber":7}`,
    `{"sequenceNumber":7,"later":{"untypedDeployment":1},"untypedDeployment": ${document} , "version":3}`,
  ])("stores exactly the value of untypedDeployment: %#", async (body) => {
    for (const chunkBytes of [null, 1, 11]) {
      const { text, body: result } = await read("verbatim", body, chunkBytes);
      expect(text).toBe(document);
      expect(result).toMatchObject({ version: 3, sequenceNumber: 7, hasDeployment: true });
      expect(result.summary.resourceTotal).toBe(1);
    }
  });

  it.each([
    ['{"version":3,"sequenceNumber":1}', "missing_deployment"],
    ['{"version":3,"untypedDeployment":null}', "wrong_shape"],
    ['{"version":3,"untypedDeployment":"x"}', "wrong_shape"],
    ['{"version":3,"untypedDeployment":{"version":3}}', "missing_deployment"],
    ['{"version":3,"untypedDeployment":{"deployment":{}}}', "unsupported_version"],
    ['{"version":3,"untypedDeployment":{"version":7,"deployment":{}}}', "unsupported_version"],
    ['{"version":7,"untypedDeployment":{"version":3,"deployment":{}}}', "unsupported_version"],
    ['{"version":3,"untypedDeployment":{"version":3,"deployment":{}},"sequenceNumber":1.5}', "wrong_shape"],
    ['{"version":3,"untypedDeployment":{"version":3,"deployment":{}},"untypedDeployment":{}}', "wrong_shape"],
    ["[1]", "wrong_shape"],
  ])("that is %s is refused: %s", async (body, reason) => {
    expect(await refusal("verbatim", body)).toBe(reason);
  });
});

describe("a streamed document", () => {
  /** 200 MB: 2,000 resources of 100 kB, none of it ever whole in memory. */
  async function* large(): AsyncGenerator<Uint8Array> {
    yield bytes('{"version":3,"deployment":{"resources":[');
    const filler = bytes(`"${"property ".repeat(11_000)}"`);
    for (let i = 0; i < 2000; i += 1) {
      yield bytes(
        `${i === 0 ? "" : ","}{"urn":"urn:pulumi:d::p::t:m:A::r${i}","type":"t:m:A","inputs":{"x":`,
      );
      yield filler;
      yield bytes("}}");
    }
    yield bytes("]}}");
  }

  it("takes memory for its resources' facts alone", async () => {
    const before = process.memoryUsage().rss;
    let most = 0;
    let sizeBytes = 0;
    const stream = readDocument("untyped", large());
    for await (const piece of stream.document) {
      sizeBytes += piece.length;
      most = Math.max(most, process.memoryUsage().rss - before);
    }
    expect(sizeBytes).toBeGreaterThan(190_000_000);
    expect(stream.result().summary.resourceTotal).toBe(2000);
    expect(most).toBeLessThan(80_000_000);
  });
});

describe("a member that has to be read whole", () => {
  it.each(["manifest", "secrets_providers"])(
    "is refused in bounded memory when %s is huge",
    async (member) => {
      const filler = bytes("x".repeat(1024 * 1024));
      const body = (async function* () {
        yield bytes(`{"version":3,"deployment":{"${member}":{"version":"`);
        for (let i = 0; i < 64; i += 1) yield filler;
        yield bytes('"}}}');
      })();
      const stream = readDocument("untyped", body);
      const before = process.memoryUsage().rss;
      await expect(collect(stream.document)).rejects.toMatchObject({ reason: "wrong_shape" });
      expect(process.memoryUsage().rss - before).toBeLessThan(60 * 1024 * 1024);
    },
  );
});
