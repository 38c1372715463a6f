import type { BlobStore } from "./contract.ts";
import { type LocalDiskOptions, openLocalDisk } from "./local-disk.ts";
import type { S3Options } from "./s3-options.ts";

export type BlobStoreOptions =
  | ({ readonly kind: "local-disk" } & LocalDiskOptions)
  | ({ readonly kind: "s3" } & S3Options);

/**
 * @throws BlobStoreUnavailableError when the place is not there or not ours to write; BlobStoreSetupError when
 * trying again is no use
 */
export async function openBlobStore(options: BlobStoreOptions): Promise<BlobStore> {
  switch (options.kind) {
    case "local-disk":
      return openLocalDisk(options);
    case "s3": {
      // The AWS SDK costs time and memory that the shape with a local disk need not pay.
      const { openS3 } = await import("./s3.ts");
      return openS3(options);
    }
    default:
      return options satisfies never;
  }
}
