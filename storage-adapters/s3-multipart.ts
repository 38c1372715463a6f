import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { BlobStoreUnavailableError } from "./contract.ts";
import { named, toStoreError } from "./s3-errors.ts";
import { integrityOf } from "./s3-integrity.ts";
import type { S3Target } from "./s3-target.ts";

/** With the part being gathered that makes three in memory. */
const SENDING_MAX = 2;
/** Of parts larger than usual fewer are sent at once. */
const SENDING_BYTES_MAX = 2 * 5 * 1024 * 1024;

interface UploadName {
  readonly Bucket: string;
  readonly Key: string;
  readonly UploadId: string;
}

/** One object in parts. After `begin` comes either `complete` or `abort`. */
export class MultipartUpload {
  readonly #target: S3Target;
  readonly #name: UploadName;
  readonly #uploading: Set<string>;
  readonly #stop = new AbortController();
  readonly #sending = new Set<Promise<void>>();
  readonly #parts: CompletedPart[] = [];
  #startedCount = 0;
  #failure: { readonly error: unknown } | null = null;

  private constructor(target: S3Target, name: UploadName, uploading: Set<string>) {
    this.#target = target;
    this.#name = name;
    this.#uploading = uploading;
    uploading.add(name.UploadId);
  }

  static async begin(target: S3Target, objectKey: string, uploading: Set<string>): Promise<MultipartUpload> {
    const place = { Bucket: target.bucket, Key: objectKey };
    const create = new CreateMultipartUploadCommand({
      ...place,
      ContentType: "application/octet-stream",
      ...(target.checksum === "sha256" && { ChecksumAlgorithm: "SHA256" }),
      ...target.encryption,
    });
    const { UploadId } = await named(target.client.send(create));
    if (UploadId === undefined) throw new BlobStoreUnavailableError("The S3 store gave an upload no ID");
    return new MultipartUpload(target, { ...place, UploadId }, uploading);
  }

  /**
   * Waits for a free place, not for the part; `onSent` is called when its bytes are needed no more.
   * @throws what became of an earlier part
   */
  async send(bytes: Uint8Array, onSent: () => void = () => undefined): Promise<void> {
    const placesMax = Math.max(1, Math.min(SENDING_MAX, Math.floor(SENDING_BYTES_MAX / bytes.length)));
    while (this.#sending.size >= placesMax) await Promise.race(this.#sending);
    this.#throwFailure();
    this.#startedCount++;
    const sending = this.#sendPart(this.#startedCount, bytes).finally(() => {
      this.#sending.delete(sending);
      onSent();
    });
    this.#sending.add(sending);
  }

  /** The object is seen by all on return. */
  async complete(lastBytes: Uint8Array): Promise<void> {
    await this.send(lastBytes);
    await Promise.all(this.#sending);
    this.#throwFailure();
    const Parts = this.#parts.toSorted((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0));
    const complete = new CompleteMultipartUploadCommand({ ...this.#name, MultipartUpload: { Parts } });
    await named(this.#target.client.send(complete));
    this.#uploading.delete(this.#name.UploadId);
  }

  /** What cannot be removed now, sweepPartial removes later; the first error is the one to tell. */
  async abort(): Promise<void> {
    this.#stop.abort();
    // A part that arrives after the abort would stay.
    await Promise.all(this.#sending);
    await this.#target.client.send(new AbortMultipartUploadCommand(this.#name)).catch(() => undefined);
    this.#uploading.delete(this.#name.UploadId);
  }

  /** Never rejects: the next call to this upload tells. */
  async #sendPart(PartNumber: number, bytes: Uint8Array): Promise<void> {
    const integrity = integrityOf(bytes, this.#target.checksum);
    const part = new UploadPartCommand({
      ...this.#name,
      PartNumber,
      Body: bytes,
      ContentLength: bytes.length,
      ...integrity,
    });
    try {
      const { ETag } = await this.#target.client.send(part, { abortSignal: this.#stop.signal });
      if (ETag === undefined) throw new BlobStoreUnavailableError("The S3 store gave a part no ETag");
      const sha256 = "ChecksumSHA256" in integrity ? integrity : {};
      this.#parts.push({ PartNumber, ETag, ...sha256 });
    } catch (error) {
      this.#failure ??= { error: toStoreError(error) };
      this.#stop.abort();
    }
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }
}
