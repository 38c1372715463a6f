import { afterAll } from "vitest";
import { openS3 } from "../../storage-adapters/s3.ts";
import { describeBlobStore } from "../conformance/blob-store.ts";
import { newPrefix, startS3 } from "../support/s3.ts";

const s3 = await startS3();
afterAll(() => s3.stop());

describeBlobStore("s3", () => openS3({ ...s3.options, prefix: newPrefix() }));
