/** infra/ and sst.config.ts against the types of the very SST that deploys them. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, inject, it } from "vitest";
import { ROOT } from "./synth/bundle.ts";

describe.skipIf(inject("infraBundle") === null)("the types of infra/", () => {
  it("are SST's own", { timeout: 120_000 }, () => {
    const tsc = spawnSync(join(ROOT, "node_modules/.bin/tsc"), ["-p", "infra"], { cwd: ROOT });
    expect(tsc.stdout.toString()).toBe("");
    expect(tsc.status).toBe(0);
  });
});
