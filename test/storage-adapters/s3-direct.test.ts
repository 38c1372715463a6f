import { createHash, randomBytes } from "node:crypto";
import { afterAll, describe, expect, it } from "vitest";
import { InvalidBlobKeyError } from "../../storage-adapters/contract.ts";
import { openS3 } from "../../storage-adapters/s3.ts";
import { createDirectTransfer } from "../../storage-adapters/s3-presign.ts";
import { createS3Target } from "../../storage-adapters/s3-target.ts";
import { newPrefix, startS3 } from "../support/s3.ts";
import { ROOMY } from "./s3-bodies.ts";

const s3 = await startS3();
afterAll(() => s3.stop());

const BYTES = randomBytes(300_000);
const UPLOAD = {
  key: "plans/p.1",
  sizeBytes: BYTES.length,
  contentType: "application/zip",
  sha256Base64: createHash("sha256").update(BYTES).digest("base64"),
  expiresSeconds: 60,
};

describe("s3: direct transfer", () => {
  it("lets a client without credentials upload and download", async () => {
    const store = await openS3({ ...s3.options, prefix: newPrefix() });
    const { method, url, headers } = await store.direct.presignPut(UPLOAD);
    const put = await fetch(url, { method, headers, body: BYTES });
    expect([put.status, await put.text()]).toEqual([200, ""]);
    expect(await store.find(UPLOAD.key)).toMatchObject({ sizeBytes: BYTES.length });

    const contentDisposition = 'attachment; filename="my plan.zip"';
    const link = await store.direct.presignGet({ key: UPLOAD.key, expiresSeconds: 60, contentDisposition });
    const got = await fetch(link);
    expect(got.status).toBe(200);
    expect(got.headers.get("content-type")).toBe("application/zip");
    expect(got.headers.get("content-disposition")).toBe(contentDisposition);
    expect(Buffer.from(await got.arrayBuffer()).equals(BYTES)).toBe(true);
    const part = await fetch(link, { headers: { range: "bytes=10-19" } });
    expect(Buffer.from(await part.arrayBuffer()).equals(BYTES.subarray(10, 20))).toBe(true);
  });

  it.each([
    { what: "other bytes", change: { body: randomBytes(BYTES.length) } },
    { what: "fewer bytes", change: { body: BYTES.subarray(1) } },
  ])("takes no $what", async ({ change }) => {
    const store = await openS3({ ...s3.options, prefix: newPrefix() });
    const { method, url, headers } = await store.direct.presignPut(UPLOAD);
    const put = await fetch(url, { method, headers, ...change });
    expect(put.ok).toBe(false);
    expect(await store.find(UPLOAD.key)).toBeNull();
  });

  // s3rver believes every signature.
  it.skipIf(s3.isS3rver).each([
    { what: "another type", headers: { "content-type": "text/html" } },
    { what: "another hash", headers: { "x-amz-checksum-sha256": Buffer.alloc(32).toString("base64") } },
  ])("takes no $what", async ({ headers }) => {
    const store = await openS3({ ...s3.options, prefix: newPrefix() });
    const link = await store.direct.presignPut(UPLOAD);
    const put = await fetch(link.url, {
      method: "PUT",
      headers: { ...link.headers, ...headers },
      body: BYTES,
    });
    expect(put.status).toBe(403);
  });

  it.skipIf(s3.isS3rver)("gives links that end", async () => {
    const store = await openS3({ ...s3.options, prefix: newPrefix() });
    await store.put("a", [BYTES], ROOMY);
    const link = await store.direct.presignGet({ key: "a", expiresSeconds: 1 });
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect((await fetch(link)).status).toBe(403);
    const other = await store.direct.presignGet({ key: "a", expiresSeconds: 60 });
    expect((await fetch(other.replace("/a%21", "/b%21").replace("/a!", "/b!"))).status).toBe(403);
  });

  it("puts what has to be sent into the headers or the signature", async () => {
    const store = await openS3({ ...s3.options, sseKmsKeyId: "k1", prefix: newPrefix() });
    const { url, headers } = await store.direct.presignPut(UPLOAD);
    expect(headers).toEqual({
      "content-type": UPLOAD.contentType,
      "x-amz-checksum-sha256": UPLOAD.sha256Base64,
      "x-amz-server-side-encryption": "aws:kms",
      "x-amz-server-side-encryption-aws-kms-key-id": "k1",
    });
    const query = new URL(url).searchParams;
    expect(query.get("X-Amz-SignedHeaders")?.split(";")).toEqual([
      "content-length",
      "content-type",
      "host",
      "x-amz-checksum-sha256",
      "x-amz-server-side-encryption",
      "x-amz-server-side-encryption-aws-kms-key-id",
    ]);
    expect(query.get("X-Amz-Expires")).toBe("60");
  });

  // Signing asks nobody, so AWS's own names can be seen here.
  it.each([
    { options: {}, at: "https://bkt.s3.eu-west-1.amazonaws.com/pre/a/b" },
    { options: { forcePathStyle: true }, at: "https://s3.eu-west-1.amazonaws.com/bkt/pre/a/b" },
    { options: { bucket: "dotted.bkt" }, at: "https://s3.eu-west-1.amazonaws.com/dotted.bkt/pre/a/b" },
    { options: { endpoint: "https://minio:9000" }, at: "https://minio:9000/bkt/pre/a/b" },
    {
      options: { endpoint: "https://store.example", forcePathStyle: false },
      at: "https://bkt.store.example/pre/a/b",
    },
  ])("addresses $at", async ({ options, at }) => {
    const { credentials } = s3.options;
    const base = { bucket: "bkt", region: "eu-west-1", prefix: "pre", credentials };
    const target = await createS3Target({ ...base, ...options });
    const link = await createDirectTransfer(target).presignGet({ key: "a/b", expiresSeconds: 60 });
    expect(link.slice(0, link.indexOf("?"))).toMatch(new RegExp(`^${RegExp.escape(at)}(!|%21)$`));
    expect(target.checksum).toBe("endpoint" in options ? "md5" : "sha256");
  });

  it("refuses keys that are none, and times beyond a week", async () => {
    const { direct } = await openS3({ ...s3.options, prefix: newPrefix() });
    await expect(direct.presignPut({ ...UPLOAD, key: "../a" })).rejects.toThrow(InvalidBlobKeyError);
    await expect(direct.presignGet({ key: "/a", expiresSeconds: 60 })).rejects.toThrow(InvalidBlobKeyError);
    for (const expiresSeconds of [0, 1.5, 604_801]) {
      await expect(direct.presignPut({ ...UPLOAD, expiresSeconds })).rejects.toThrow(RangeError);
      await expect(direct.presignGet({ key: "a", expiresSeconds })).rejects.toThrow(RangeError);
    }
  });
});
