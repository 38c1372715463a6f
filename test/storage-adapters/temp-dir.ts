import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** A new folder that goes away with the test. */
export async function makeTempDir(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "statehouse-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
