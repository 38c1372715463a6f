/**
 * A real S3 server over HTTP: s3rver in a process of its own or, with STATEHOUSE_TEST_S3_URL, any other (its
 * bucket in STATEHOUSE_TEST_S3_BUCKET, made when missing; its keys in AWS_*).
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import type { S3Credentials } from "../../storage-adapters/s3-options.ts";

const S3RVER = fileURLToPath(new URL("../storage-adapters/s3-server.ts", import.meta.url));
const BUCKET = "statehouse-test";

export interface TestS3 {
  /** Enough for `openS3`; add `prefix: newPrefix()` for a place of one's own. */
  readonly options: {
    readonly bucket: string;
    readonly endpoint: string;
    readonly region: string;
    readonly credentials: S3Credentials;
  };
  /** The same for a server process, by the fixed names. */
  readonly env: Readonly<Record<string, string>>;
  /** s3rver knows access keys, but believes every signature. */
  readonly isS3rver: boolean;
  stop(): Promise<void>;
}

/** Nobody else's, so that it is empty. */
export function newPrefix(): string {
  return `test-${randomBytes(8).toString("hex")}`;
}

export async function startS3(): Promise<TestS3> {
  const url = process.env.STATEHOUSE_TEST_S3_URL ?? "";
  return url === "" ? await startS3rver() : await useServer(url);
}

async function useServer(endpoint: string): Promise<TestS3> {
  const credentials = {
    accessKeyId: process.env.AWS_ACCESS_KEY_ID ?? "",
    secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY ?? "",
  };
  const bucket = process.env.STATEHOUSE_TEST_S3_BUCKET ?? BUCKET;
  const region = process.env.AWS_REGION ?? "us-east-1";
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
  } catch (error) {
    const isThere = error instanceof Error && /^BucketAlready/.test(error.name);
    if (!isThere) throw error;
  } finally {
    client.destroy();
  }
  return testS3({ bucket, endpoint, region, credentials }, false, async () => undefined);
}

async function startS3rver(): Promise<TestS3> {
  // A pipe to its standard input: it ends with us, whatever becomes of us.
  const child = spawn(
    process.execPath,
    ["--openssl-legacy-provider", "--disable-warning=DEP0005", S3RVER, BUCKET],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const exited = once(child, "exit");
  const failed = exited.then(([code]) => {
    throw new Error(`s3rver ended with ${code} before it was ready`);
  });
  failed.catch(() => undefined);
  const [port] = await Promise.race([once(createInterface(child.stdout), "line"), failed]);
  const stop = async () => {
    child.kill("SIGKILL");
    await exited;
  };
  const credentials = { accessKeyId: "S3RVER", secretAccessKey: "S3RVER" };
  const endpoint = `http://127.0.0.1:${port}`;
  return testS3({ bucket: BUCKET, endpoint, region: "us-east-1", credentials }, true, stop);
}

function testS3(options: TestS3["options"], isS3rver: boolean, stop: () => Promise<void>): TestS3 {
  const env = {
    STATEHOUSE_S3_BUCKET: options.bucket,
    STATEHOUSE_S3_ENDPOINT: options.endpoint,
    STATEHOUSE_S3_REGION: options.region,
    AWS_ACCESS_KEY_ID: options.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: options.credentials.secretAccessKey,
  };
  return { options, env, isS3rver, stop };
}
