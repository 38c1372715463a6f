import type { BlobStore } from "./contract.ts";
import { type LocalDiskOptions, openLocalDisk } from "./local-disk.ts";

export type BlobStoreOptions = { readonly kind: "local-disk" } & LocalDiskOptions;

/** @throws BlobStoreUnavailableError when the place is not there or not ours to write */
export function openBlobStore(options: BlobStoreOptions): Promise<BlobStore> {
  switch (options.kind) {
    case "local-disk":
      return openLocalDisk(options);
    default:
      return options.kind satisfies never;
  }
}
