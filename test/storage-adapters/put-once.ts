/** A child process for local-disk.test.ts: one put of 2 MB that fails, and what it fails with. */
import { openLocalDisk } from "../../storage-adapters/local-disk.ts";

const store = await openLocalDisk({ root: process.argv[2] ?? "" });
try {
  await store.put("a", [Buffer.alloc(1_000_000), Buffer.alloc(1_000_000)], { maxBytes: 2_000_000 });
} catch (error) {
  const { name, cause } = error instanceof Error ? error : new Error("not an error");
  const errno = cause instanceof Error && "code" in cause ? cause.code : null;
  process.stdout.write(JSON.stringify({ name, cause: errno }));
}
