import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { BlobStoreSetupError, BlobStoreUnavailableError } from "../../storage-adapters/contract.ts";
import { openBlobStore } from "../../storage-adapters/open.ts";
import { openS3 } from "../../storage-adapters/s3.ts";
import { newPrefix, startS3 } from "../support/s3.ts";
import { MIB, ROOMY, sha256Of, TestBody } from "./s3-bodies.ts";
import { startProxy } from "./s3-proxy.ts";
import { makeTempDir } from "./temp-dir.ts";

const s3 = await startS3();
afterAll(() => s3.stop());

/** Where nobody listens. */
async function deadEndpoint(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

function setupErrorOf(opening: Promise<unknown>): Promise<unknown> {
  return opening.then(
    () => null,
    (error: unknown) => {
      expect(error).toBeInstanceOf(BlobStoreSetupError);
      return error instanceof Error ? error.message : null;
    },
  );
}

describe("s3: a wrong setup", () => {
  it("names a bucket that is not there", async () => {
    const opening = openBlobStore({ kind: "s3", ...s3.options, bucket: "no-such-bucket" });
    expect(await setupErrorOf(opening)).toBe(
      `There is no bucket "no-such-bucket" at ${s3.options.endpoint}: make it, or correct STATEHOUSE_S3_BUCKET`,
    );
  });

  it("names an unknown access key", async () => {
    const credentials = { accessKeyId: "NOBODY", secretAccessKey: "x".repeat(40) };
    expect(await setupErrorOf(openS3({ ...s3.options, credentials }))).toBe(
      `${s3.options.endpoint} does not know the access key ID: check AWS_ACCESS_KEY_ID and ` +
        "AWS_SECRET_ACCESS_KEY, or the profile or role in use",
    );
  });

  it.skipIf(s3.isS3rver)("names a wrong secret", async () => {
    const credentials = { ...s3.options.credentials, secretAccessKey: "x".repeat(40) };
    expect(await setupErrorOf(openS3({ ...s3.options, credentials }))).toContain(
      "The secret access key does not belong to the access key ID",
    );
  });

  /** Nothing of this machine's own AWS setup counts. */
  function stubChain(env: Readonly<Record<string, string | undefined>>): void {
    const none = { AWS_PROFILE: undefined, AWS_SESSION_TOKEN: undefined, AWS_EC2_METADATA_DISABLED: "true" };
    const files = { AWS_SHARED_CREDENTIALS_FILE: "/nowhere/credentials", AWS_CONFIG_FILE: "/nowhere/config" };
    for (const [name, value] of Object.entries({ ...none, ...files, ...env })) vi.stubEnv(name, value);
    onTestFinished(() => {
      vi.unstubAllEnvs();
    });
  }

  it("takes credentials from the AWS chain", async () => {
    stubChain(s3.env);
    const { credentials: _, ...options } = s3.options;
    const store = await openS3({ ...options, prefix: newPrefix() });
    expect(await store.find("a")).toBeNull();
  });

  it("says when the AWS chain has no credentials", async () => {
    stubChain({ AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "" });
    const { credentials: _, ...options } = s3.options;
    expect(await setupErrorOf(openS3(options))).toContain(
      "No AWS credentials were found: check AWS_ACCESS_KEY_ID",
    );
  });

  it.each([undefined, "", "not a region"])("says when AWS is meant, but the region is %j", async (region) => {
    stubChain({ AWS_REGION: region, AWS_DEFAULT_REGION: undefined });
    const { bucket, credentials } = s3.options;
    expect(await setupErrorOf(openS3({ bucket, credentials }))).toContain(
      "The AWS region is missing or is none",
    );
  });

  it.each([
    { code: "SignatureDoesNotMatch", status: 403, says: "The secret access key does not belong" },
    { code: "AccessDenied", status: 403, says: "grant s3:ListBucket and s3:ListBucketMultipartUploads on" },
    { code: "PermanentRedirect", status: 301, says: "set STATEHOUSE_S3_REGION" },
    { code: "ExpiredToken", status: 400, says: "get new credentials" },
    { code: "RequestTimeTooSkewed", status: 403, says: "clock" },
    {
      code: "Teapot",
      status: 418,
      says: "answers with 418, like no S3 server: check STATEHOUSE_S3_ENDPOINT",
    },
  ])("says what to do about $code", async ({ code, status, says }) => {
    const proxy = await startProxy({ ...s3.options, judge: () => ({ status, code }) });
    expect(await setupErrorOf(openS3({ ...s3.options, endpoint: proxy.endpoint }))).toContain(says);
  });

  it.each([
    { what: "no bucket", options: { bucket: "" }, says: "STATEHOUSE_S3_BUCKET" },
    {
      what: "an endpoint without http",
      options: { endpoint: "localhost:9000" },
      says: "STATEHOUSE_S3_ENDPOINT",
    },
    { what: "a prefix with dots", options: { prefix: "a/../b" }, says: "prefix" },
    { what: "a prefix with a space", options: { prefix: "a b" }, says: "prefix" },
    { what: "two encryptions", options: { sse: "AES256" as const, sseKmsKeyId: "x" }, says: "KMS" },
    { what: "a CA file that is not there", options: { caFile: "/nowhere/ca.pem" }, says: "/nowhere/ca.pem" },
    { what: "a CA file of something else", options: { caFile: "package.json" }, says: "no PEM certificate" },
  ])("refuses $what", async ({ options, says }) => {
    expect(await setupErrorOf(openS3({ ...s3.options, ...options }))).toContain(says);
  });

  it("says so when the address is that of a web page", async () => {
    const server = createServer((_req, res) => res.end("<html><body>Hello</body></html>"));
    server.listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    onTestFinished(() => {
      server.close();
      server.closeAllConnections();
    });
    const { port } = server.address() as AddressInfo;
    const opening = openS3({ ...s3.options, endpoint: `http://127.0.0.1:${port}` });
    expect(await setupErrorOf(opening)).toContain("STATEHOUSE_S3_ENDPOINT");
  });
});

describe("s3: a server that is down", () => {
  it("says so soon at open", async () => {
    const startedMs = performance.now();
    const opening = openS3({ ...s3.options, endpoint: await deadEndpoint() });
    const error = await opening.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(BlobStoreUnavailableError);
    expect(error).toMatchObject({ cause: { code: "ECONNREFUSED" } });
    expect(performance.now() - startedMs).toBeLessThan(5000);
  });

  it("says so soon in every method, and serves again once it is back", async () => {
    let isDown = false;
    const judge = () => (isDown ? { status: 503, code: "ServiceUnavailable" } : "pass");
    const proxy = await startProxy({ ...s3.options, judge });
    const store = await openS3({ ...s3.options, endpoint: proxy.endpoint, prefix: newPrefix() });
    await store.put("a", [Buffer.from("x")], ROOMY);
    isDown = true;
    const startedMs = performance.now();
    const calls = [
      store.put("a", [Buffer.from("y")], ROOMY),
      store.put("b", new TestBody().of(20 * MIB), ROOMY),
      store.open("a"),
      store.find("a"),
      store.delete("a"),
      store.sweepPartial(0),
      store.list("")[Symbol.asyncIterator]().next(),
    ];
    for (const call of await Promise.allSettled(calls)) {
      expect(call).toMatchObject({ status: "rejected", reason: expect.any(BlobStoreUnavailableError) });
    }
    expect(performance.now() - startedMs).toBeLessThan(10_000);
    isDown = false;
    expect(await store.find("a")).toMatchObject({ sizeBytes: 1 });
  });

  it.skipIf(!s3.isS3rver)("notices a server that was killed", async () => {
    const own = await startS3();
    const store = await openS3(own.options);
    await store.put("a", [Buffer.from("x")], ROOMY);
    await own.stop();
    const startedMs = performance.now();
    await expect(store.put("a", [Buffer.from("y")], ROOMY)).rejects.toThrow(BlobStoreUnavailableError);
    await expect(store.find("a")).rejects.toThrow(BlobStoreUnavailableError);
    expect(performance.now() - startedMs).toBeLessThan(5000);
  });

  it("does not take a bucket that went away for a blob that is not there", async () => {
    let isGone = false;
    const judge = () => (isGone ? { status: 404, code: "NoSuchBucket" } : "pass");
    const proxy = await startProxy({ ...s3.options, judge });
    const store = await openS3({ ...s3.options, endpoint: proxy.endpoint, prefix: newPrefix() });
    isGone = true;
    await expect(store.find("a")).rejects.toThrow(BlobStoreUnavailableError);
    await expect(store.open("a")).rejects.toThrow(BlobStoreUnavailableError);
  });
});

function hasOpenssl(): boolean {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(!hasOpenssl())("s3: a CA of one's own", () => {
  async function tlsProxy() {
    const folder = await makeTempDir();
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const names = "subjectAltName=IP:127.0.0.1";
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    const args = ["req", "-x509", ...curve, "-keyout", key, "-out", cert, "-days", "2"];
    execFileSync("openssl", [...args, "-subj", "/CN=test", "-addext", names], { stdio: "ignore" });
    const tls = { key: await readFile(key, "utf8"), cert: await readFile(cert, "utf8") };
    const proxy = await startProxy({ ...s3.options, tls });
    return { endpoint: proxy.endpoint, caFile: cert, folder };
  }

  it("is trusted for small and large bodies alike", async () => {
    const { endpoint, caFile } = await tlsProxy();
    const store = await openS3({ ...s3.options, endpoint, caFile, prefix: newPrefix() });
    for (const sizeBytes of [10, 5 * MIB, 20 * MIB]) {
      const body = new TestBody();
      await store.put("a", body.of(sizeBytes), ROOMY);
      expect(await sha256Of(await store.open("a"))).toBe(body.sha256());
    }
  });

  it("is asked for when it is missing", async () => {
    const { endpoint } = await tlsProxy();
    expect(await setupErrorOf(openS3({ ...s3.options, endpoint }))).toContain("STATEHOUSE_S3_CA_FILE");
  });

  it("does not stand for another's certificate", async () => {
    const [{ endpoint }, other] = [await tlsProxy(), await tlsProxy()];
    const caFile = join(other.folder, "copy.pem");
    await writeFile(caFile, await readFile(other.caFile));
    expect(await setupErrorOf(openS3({ ...s3.options, endpoint, caFile }))).toContain("is not trusted");
  });
});
