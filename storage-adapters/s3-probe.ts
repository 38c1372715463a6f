/** What `doctor` asks a bucket: every call that the store makes, once, on a blob of its own. */
import { randomBytes } from "node:crypto";
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
} from "@aws-sdk/client-s3";
import { type BlobKey, BlobNotFoundError, BlobStoreSetupError } from "./contract.ts";
import { checkBucket, S3Store } from "./s3.ts";
import { named, s3CodeOf, s3StatusOf } from "./s3-errors.ts";
import type { S3Options } from "./s3-options.ts";
import { createS3Target, objectKeyOf, type S3Target } from "./s3-target.ts";

export type S3ProbeStepName =
  | "bucket"
  | "put"
  | "get"
  | "range"
  | "list"
  | "multipart"
  | "multipart-list"
  | "multipart-abort"
  | "delete";

export interface S3ProbeStep {
  readonly step: S3ProbeStepName;
  readonly ok: boolean;
  /** What was seen; on failure what is wrong and, of a refusal, the permission to grant. */
  readonly detail: string;
}

interface Probe {
  readonly target: S3Target;
  readonly store: S3Store;
  readonly key: BlobKey;
  readonly bytes: Uint8Array;
  /** Set by the first step; the others can be tried without, for permissions alone. */
  isStored: boolean;
  /** Set by the step that begins one. */
  uploadId: string | null;
}

interface Step {
  readonly step: S3ProbeStepName;
  /** What a policy has to allow for this step. */
  readonly permission: `s3:${string}`;
  /** Gives the detail to show. */
  run(probe: Probe): Promise<string>;
}

const BODY_BYTES = 100_000;
const USING_KEYS: ReadonlySet<S3ProbeStepName> = new Set(["put", "get", "range", "multipart"]);
const NOT_PERMISSIONS = new Set(["InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed"]);

const STEPS: readonly Step[] = [
  { step: "put", permission: "s3:PutObject", run: probePut },
  { step: "get", permission: "s3:GetObject", run: probeGet },
  { step: "range", permission: "s3:GetObject", run: probeRange },
  { step: "list", permission: "s3:ListBucket", run: probeList },
  { step: "multipart", permission: "s3:PutObject", run: probeUpload },
  { step: "multipart-list", permission: "s3:ListBucketMultipartUploads", run: probeUploadList },
  { step: "multipart-abort", permission: "s3:AbortMultipartUpload", run: probeUploadAbort },
  { step: "delete", permission: "s3:DeleteObject", run: probeDelete },
];

/** Never throws: what goes wrong is in the steps. Leaves nothing in the bucket, provided it may delete. */
export async function probeS3(options: S3Options): Promise<S3ProbeStep[]> {
  let target: S3Target | null = null;
  try {
    target = await createS3Target(options);
    return await probeTarget(target);
  } catch (error) {
    return [failed("bucket", messageOf(error)), ...notTried(STEPS)];
  } finally {
    target?.client.destroy();
  }
}

async function probeTarget(target: S3Target): Promise<S3ProbeStep[]> {
  const steps: S3ProbeStep[] = [];
  try {
    await checkBucket(target);
    steps.push({ step: "bucket", ok: true, detail: `the bucket "${target.bucket}" answers` });
  } catch (error) {
    // With the rest allowed, a refused list is no reason to stop.
    if (!isRefusal(error)) throw error;
    steps.push(failed("bucket", messageOf(error)));
  }
  const key = `doctor/${randomBytes(12).toString("hex")}`;
  const probe = {
    target,
    store: new S3Store(target),
    key,
    bytes: randomBytes(BODY_BYTES),
    isStored: false,
    uploadId: null,
  };
  for (const step of STEPS) steps.push(await tryStep(step, probe));
  return steps;
}

async function tryStep(step: Step, probe: Probe): Promise<S3ProbeStep> {
  try {
    return { step: step.step, ok: true, detail: await step.run(probe) };
  } catch (error) {
    if (!isRefusal(error)) return failed(step.step, messageOf(error));
    return failed(step.step, `refused: grant ${grantOf(step, probe.target)}`);
  }
}

function grantOf({ step, permission }: Step, { bucket, prefix, encryption }: S3Target): string {
  const isOnBucket = permission.startsWith("s3:List");
  const resource = `arn:aws:s3:::${bucket}${isOnBucket ? "" : `/${prefix}*`}`;
  const usesKey = encryption.ServerSideEncryption === "aws:kms" && USING_KEYS.has(step);
  const onKey = usesKey ? ", and kms:GenerateDataKey and kms:Decrypt on the KMS key" : "";
  return `${permission} on ${resource}${onKey}`;
}

async function probePut(probe: Probe): Promise<string> {
  await probe.store.put(probe.key, [probe.bytes], { maxBytes: BODY_BYTES });
  probe.isStored = true;
  return `wrote ${BODY_BYTES} bytes`;
}

async function probeGet({ store, key, bytes }: Probe): Promise<string> {
  const got = await collect(store, key);
  if (got === null) return "allowed; there was nothing to read";
  if (!got.equals(bytes)) throw new Error("the bytes that came back are not those that were put");
  return "the same bytes came back";
}

async function probeRange({ store, key, bytes }: Probe): Promise<string> {
  const range = { startByte: 10, endByte: 20 };
  const got = await collect(store, key, range);
  if (got === null) return "allowed; there was nothing to read";
  if (!got.equals(bytes.subarray(range.startByte, range.endByte))) {
    throw new Error("the server does not honour the Range header");
  }
  return "10 bytes from the middle came back";
}

async function probeList({ store, key, isStored }: Probe): Promise<string> {
  for await (const entry of store.list(key)) if (entry.key === key) return "the list has the new object";
  if (!isStored) return "allowed; there was nothing to list";
  throw new Error("the list lacks an object that was just put");
}

async function probeUpload(probe: Probe): Promise<string> {
  const { target, key } = probe;
  const place = { Bucket: target.bucket, Key: objectKeyOf(target, key) };
  const create = new CreateMultipartUploadCommand({ ...place, ...target.encryption });
  const { UploadId } = await named(target.client.send(create));
  probe.uploadId = UploadId ?? null;
  return "an upload in parts was begun";
}

async function probeUploadList({ target }: Probe): Promise<string> {
  await named(target.client.send(new ListMultipartUploadsCommand({ Bucket: target.bucket, MaxUploads: 1 })));
  return "uploads that were left behind can be found";
}

async function probeUploadAbort({ target, key, uploadId }: Probe): Promise<string> {
  if (uploadId === null) return "not needed: no upload was begun";
  const upload = { Bucket: target.bucket, Key: objectKeyOf(target, key), UploadId: uploadId };
  await named(target.client.send(new AbortMultipartUploadCommand(upload)));
  return "the upload was aborted";
}

async function probeDelete({ store, key }: Probe): Promise<string> {
  await store.delete(key);
  return "deleted the object";
}

/** Null when there is no such blob. */
async function collect(
  store: S3Store,
  key: BlobKey,
  range?: Parameters<S3Store["open"]>[1],
): Promise<Buffer | null> {
  try {
    const parts: Uint8Array[] = [];
    for await (const chunk of await store.open(key, range)) parts.push(chunk);
    return Buffer.concat(parts);
  } catch (error) {
    if (error instanceof BlobNotFoundError) return null;
    throw error;
  }
}

/** The credentials are known, but may not do this. */
function isRefusal(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : null;
  return s3StatusOf(cause) === 403 && !NOT_PERMISSIONS.has(s3CodeOf(cause) ?? "");
}

function failed(step: S3ProbeStepName, detail: string): S3ProbeStep {
  return { step, ok: false, detail };
}

function notTried(steps: readonly Step[]): S3ProbeStep[] {
  return steps.map(({ step }) => failed(step, "not tried"));
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  const isWhole = error instanceof BlobStoreSetupError || !(cause instanceof Error);
  return isWhole ? error.message : `${error.message} (${cause.message})`;
}
