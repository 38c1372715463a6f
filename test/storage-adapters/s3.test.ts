import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { promisify } from "node:util";
import {
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, describe, expect, it } from "vitest";
import { BlobStoreUnavailableError, BlobTooLargeError } from "../../storage-adapters/contract.ts";
import { openS3, type S3Store } from "../../storage-adapters/s3.ts";
import { PART_BYTES_MAX, PART_BYTES_MIN, partBytesFor } from "../../storage-adapters/s3-write.ts";
import { newPrefix, startS3 } from "../support/s3.ts";
import { MIB, ROOMY, sha256Of, TestBody } from "./s3-bodies.ts";
import { type SeenRequest, startProxy, type Verdict } from "./s3-proxy.ts";

const s3 = await startS3();
const client = new S3Client({ ...s3.options, forcePathStyle: true });
const { bucket } = s3.options;
afterAll(async () => {
  client.destroy();
  await s3.stop();
});

/** Object keys of the uploads under a prefix that were neither completed nor aborted. */
async function uploadsUnder(prefix: string): Promise<string[]> {
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
  return Uploads.map(({ Key = "" }) => Key).filter((key) => key.startsWith(prefix));
}

function isPart({ method, url }: SeenRequest): boolean {
  return method === "PUT" && url.includes("partNumber=");
}

async function keysOf(store: S3Store, prefix = ""): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys.sort();
}

describe("s3: large bodies", () => {
  it.each([
    { checksum: "md5", chunkBytes: 100_000 },
    { checksum: "sha256", chunkBytes: 100_000 },
    { checksum: "sha256", chunkBytes: 40 * MIB },
  ] as const)("stores 40 MiB in parts, with $checksum, from chunks of $chunkBytes", async (options) => {
    const proxy = await startProxy(s3.options);
    const { checksum, chunkBytes } = options;
    const store = await openS3({ ...s3.options, endpoint: proxy.endpoint, prefix: newPrefix(), checksum });
    const body = new TestBody();
    const info = await store.put("a", body.of(40 * MIB, chunkBytes), ROOMY);
    expect(info).toEqual({ sizeBytes: 40 * MIB });
    expect(await sha256Of(await store.open("a"))).toBe(body.sha256());
    const parts = proxy.seen.filter(isPart);
    expect(parts.map(({ headers }) => headers["content-length"])).toEqual(
      Array(8).fill(String(PART_BYTES_MIN)),
    );
    const header = checksum === "md5" ? "content-md5" : "x-amz-checksum-sha256";
    expect(parts.every(({ headers }) => typeof headers[header] === "string")).toBe(true);
  });

  it.each(["md5", "sha256"] as const)(
    "stores up to one part in a single request, with %s",
    async (checksum) => {
      const proxy = await startProxy(s3.options);
      const store = await openS3({ ...s3.options, endpoint: proxy.endpoint, prefix: newPrefix(), checksum });
      await store.put("a", new TestBody().of(PART_BYTES_MIN), ROOMY);
      expect(await store.find("a")).toMatchObject({ sizeBytes: PART_BYTES_MIN });
      expect(proxy.seen.map(({ method }) => method)).toEqual(["GET", "PUT", "HEAD"]);
    },
  );

  it("reads on only as fast as the parts go: three of them in memory", async () => {
    let verdict: Verdict = "hold";
    const proxy = await startProxy({ ...s3.options, judge: (seen) => (isPart(seen) ? verdict : "pass") });
    const store = await openS3({ ...s3.options, endpoint: proxy.endpoint, prefix: newPrefix() });
    const body = new TestBody();
    const putting = store.put("a", body.of(200 * MIB), ROOMY).catch((error: unknown) => error);
    await expect.poll(() => proxy.seen.filter(isPart).length, { timeout: 10_000 }).toBe(2);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(proxy.seen.filter(isPart).length).toBe(2);
    expect(body.sentBytes).toBeLessThan(3 * PART_BYTES_MIN + MIB);
    verdict = { status: 503, code: "SlowDown" };
    await store.close(); // breaks the connections that hang
    expect(await putting).toBeInstanceOf(BlobStoreUnavailableError);
    expect(body.isReleased).toBe(true);
  });

  it.each([
    { maxBytes: 1, expected: PART_BYTES_MIN },
    { maxBytes: 10_000 * PART_BYTES_MIN, expected: PART_BYTES_MIN },
    { maxBytes: 10_000 * PART_BYTES_MIN + 1, expected: PART_BYTES_MIN + MIB },
    { maxBytes: 1024 ** 4, expected: 105 * MIB },
    { maxBytes: Number.POSITIVE_INFINITY, expected: PART_BYTES_MAX },
  ])("cuts parts of $expected bytes when there may be $maxBytes", ({ maxBytes, expected }) => {
    expect(partBytesFor(maxBytes)).toBe(expected);
  });
});

describe("s3: what a failed put leaves", () => {
  it("leaves neither object nor parts when the body breaks off", async () => {
    const prefix = newPrefix();
    const store = await openS3({ ...s3.options, prefix });
    const error = new Error("client went away");
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield* new TestBody().of(20 * MIB);
      expect(await uploadsUnder(prefix)).toEqual([`${prefix}/a!`]);
      throw error;
    }
    await expect(store.put("a", broken(), ROOMY)).rejects.toBe(error);
    expect(await uploadsUnder(prefix)).toEqual([]);
    expect(await keysOf(store)).toEqual([]);
  });

  it("leaves neither object nor parts when the body is too large", async () => {
    const prefix = newPrefix();
    const store = await openS3({ ...s3.options, prefix });
    const body = new TestBody();
    const putting = store.put("a", body.of(100 * MIB), { maxBytes: 20 * MIB });
    await expect(putting).rejects.toThrow(BlobTooLargeError);
    expect(body.isReleased).toBe(true);
    expect(await uploadsUnder(prefix)).toEqual([]);
    expect(await keysOf(store)).toEqual([]);
  });

  it("gives up on a part that keeps failing, and aborts", async () => {
    const prefix = newPrefix();
    const judge = (seen: SeenRequest) =>
      seen.url.includes("partNumber=2&") ? { status: 503, code: "SlowDown" } : "pass";
    const proxy = await startProxy({ ...s3.options, judge });
    const store = await openS3({ ...s3.options, endpoint: proxy.endpoint, prefix });
    const body = new TestBody();
    const error = await store.put("a", body.of(200 * MIB), ROOMY).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(BlobStoreUnavailableError);
    expect(error).toMatchObject({
      message: "The S3 store answered SlowDown (503)",
      cause: { name: "SlowDown" },
    });
    expect(body.isReleased).toBe(true);
    expect(proxy.seen.filter((seen) => seen.url.includes("partNumber=2&")).length).toBe(3);
    expect(await uploadsUnder(prefix)).toEqual([]);
    expect(await store.find("a")).toBeNull();
  });

  it("tries a part again that failed once", async () => {
    const failedOnce = new Set<string>();
    const judge = (seen: SeenRequest) => {
      const part = /partNumber=\d+/.exec(seen.url)?.[0];
      if (part === undefined || failedOnce.has(part)) return "pass";
      failedOnce.add(part);
      return { status: 500, code: "InternalError" };
    };
    const proxy = await startProxy({ ...s3.options, judge });
    const store = await openS3({ ...s3.options, endpoint: proxy.endpoint, prefix: newPrefix() });
    const body = new TestBody();
    await store.put("a", body.of(20 * MIB), ROOMY);
    expect(failedOnce.size).toBe(4);
    expect(await sha256Of(await store.open("a"))).toBe(body.sha256());
  });

  it("lets the last of two long puts to one key win whole", async () => {
    const prefix = newPrefix();
    const store = await openS3({ ...s3.options, prefix });
    const bodies = [randomBytes(17 * MIB), randomBytes(18 * MIB), randomBytes(9 * MIB)];
    await Promise.all(bodies.map((body) => store.put("a", [body], ROOMY)));
    const hashes = bodies.map((body) => createHash("sha256").update(body).digest("hex"));
    expect(hashes).toContain(await sha256Of(await store.open("a")));
    expect(await uploadsUnder(prefix)).toEqual([]);
  });
});

describe("s3: sweepPartial", () => {
  it("aborts old uploads of its own prefix, but neither others' nor its own puts'", async () => {
    const prefix = newPrefix();
    const names = [`${prefix}/x!`, `${prefix}/y/z!`, `${prefix}/not-ours`, `${prefix}0/x!`];
    for (const Key of names) await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key }));
    const store = await openS3({ ...s3.options, prefix });
    expect(await store.sweepPartial(Date.now() - 60_000)).toBe(0);
    const body = new TestBody();
    async function* swept(): AsyncGenerator<Uint8Array> {
      yield* body.of(20 * MIB);
      expect(await store.sweepPartial(Date.now() + 60_000, { dryRun: true })).toBe(2);
      expect(await store.sweepPartial(Date.now() + 60_000)).toBe(2);
    }
    await store.put("a", swept(), ROOMY);
    expect((await uploadsUnder(prefix)).sort()).toEqual([`${prefix}/not-ours`, `${prefix}0/x!`]);
    expect(await sha256Of(await store.open("a"))).toBe(body.sha256());
    expect(await store.sweepPartial(Date.now() + 60_000)).toBe(0);
  });
});

describe("s3: reading", () => {
  it("tells a connection that breaks midway from the end of a blob", async () => {
    const prefix = newPrefix();
    const judge = (seen: SeenRequest) => (seen.url.includes("x-id=GetObject") ? "cut" : "pass");
    const proxy = await startProxy({ ...s3.options, judge });
    const store = await openS3({ ...s3.options, endpoint: proxy.endpoint, prefix });
    await store.put("a", [randomBytes(3 * MIB)], ROOMY);
    const reading = await store.open("a");
    await expect(sha256Of(reading)).rejects.toThrow(BlobStoreUnavailableError);
  });

  it("reads on only as its reader does", async () => {
    const store = await openS3({ ...s3.options, prefix: newPrefix() });
    await store.put("a", new TestBody().of(64 * MIB), ROOMY);
    const before = process.memoryUsage().arrayBuffers;
    let seenBytes = 0;
    for await (const chunk of await store.open("a")) {
      seenBytes += chunk.length;
      if (seenBytes > MIB) break;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * MIB);
  });

  it("finds ranges across the parts of a long blob", async () => {
    const store = await openS3({ ...s3.options, prefix: newPrefix() });
    const bytes = randomBytes(20 * MIB);
    await store.put("a", [bytes], ROOMY);
    const range = { startByte: 8 * MIB - 10, endByte: 16 * MIB + 10 };
    const expected = createHash("sha256")
      .update(bytes.subarray(range.startByte, range.endByte))
      .digest("hex");
    expect(await sha256Of(await store.open("a", range))).toBe(expected);
  });
});

describe("s3: prefixes", () => {
  it("keeps prefixes apart, one that begins like the other too", async () => {
    const prefix = newPrefix();
    const one = await openS3({ ...s3.options, prefix });
    const ten = await openS3({ ...s3.options, prefix: `${prefix}0` });
    await one.put("a", [Buffer.from("one")], ROOMY);
    await ten.put("b", [Buffer.from("ten")], ROOMY);
    expect(await keysOf(one)).toEqual(["a"]);
    expect(await keysOf(ten)).toEqual(["b"]);
    expect(await one.find("b")).toBeNull();
    await one.delete("b");
    expect(await keysOf(ten)).toEqual(["b"]);
  });

  it("does not mind slashes around a prefix", async () => {
    const prefix = newPrefix();
    const one = await openS3({ ...s3.options, prefix: `${prefix}/x` });
    await one.put("a", [Buffer.from("x")], ROOMY);
    expect(await keysOf(await openS3({ ...s3.options, prefix: `/${prefix}//x/` }))).toEqual(["a"]);
    await client.send(new HeadObjectCommand({ Bucket: bucket, Key: `${prefix}/x/a!` }));
  });

  it("passes over objects of others", async () => {
    const prefix = newPrefix();
    const store = await openS3({ ...s3.options, prefix });
    for (const name of ["readme.txt", "b c!", "d/e"]) {
      const put = { Bucket: bucket, Key: `${prefix}/${name}`, Body: "x" };
      await client.send(new PutObjectCommand(put));
    }
    await store.put("d/f", [Buffer.from("x")], ROOMY);
    expect(await keysOf(store)).toEqual(["d/f"]);
  });
});

describe("s3: encryption", () => {
  it.each([
    { sse: "AES256" as const, sent: { "x-amz-server-side-encryption": "AES256" } },
    {
      sseKmsKeyId: "statehouse-key",
      sent: {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "statehouse-key",
      },
    },
  ])("asks for $sent with every new object", async ({ sent, ...options }) => {
    const proxy = await startProxy(s3.options);
    const store = await openS3({ ...s3.options, ...options, endpoint: proxy.endpoint, prefix: newPrefix() });
    for (const sizeBytes of [1000, 9 * MIB]) {
      const body = new TestBody();
      await store.put("a", body.of(sizeBytes), ROOMY);
      expect(await sha256Of(await store.open("a"))).toBe(body.sha256());
    }
    const creating = proxy.seen.filter(({ method, url }) => {
      return url.includes("x-id=PutObject") || (method === "POST" && url.includes("uploads"));
    });
    expect(creating.length).toBe(2);
    for (const { headers } of creating) expect(headers).toMatchObject(sent);
  });
});

describe("s3: the AWS SDK", () => {
  it("is not loaded with the local disk", async () => {
    const script = `
      const { openBlobStore } = await import("./storage-adapters/open.ts");
      const { _cache } = (await import("node:module")).default;
      const count = () => Object.keys(_cache).filter((path) => path.includes("@aws-sdk")).length;
      const root = await (await import("node:fs/promises")).mkdtemp("/tmp/statehouse-test-");
      await openBlobStore({ kind: "local-disk", root });
      const before = count();
      await openBlobStore({ kind: "s3", bucket: "b", endpoint: "ftp://x" }).catch(() => undefined);
      console.log(before, count() > 0);
      await (await import("node:fs/promises")).rm(root, { recursive: true });`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", script]);
    expect(stdout.trim()).toBe("0 true");
  });
});
