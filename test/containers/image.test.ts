/**
 * The built image, run without an engine: docker/check-image.sh. Building takes minutes and a base image, so
 * it is done elsewhere; STATEHOUSE_TEST_IMAGE names what to check.
 */
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { ROOT } from "./support.ts";

const IMAGE = process.env.STATEHOUSE_TEST_IMAGE ?? "";
const CHECK_MS_MAX = 240_000;
const TOOL_MISSING = 77;

describe("the built image", () => {
  if (IMAGE === "") {
    process.stderr.write("SKIPPED: no image was checked; set STATEHOUSE_TEST_IMAGE to one that is built\n");
  }

  it.skipIf(IMAGE === "")(
    "holds what docker/check-image.sh asks of it",
    (test) => {
      const { status, stdout, stderr } = spawnSync(`${ROOT}docker/check-image.sh`, [IMAGE], {
        encoding: "utf8",
        timeout: CHECK_MS_MAX,
      });
      if (status === TOOL_MISSING) {
        process.stderr.write(stderr);
        test.skip(stderr.trim());
      }
      expect(stdout.split("\n").filter((line) => line.startsWith("FAIL"))).toEqual([]);
      expect({ status, stderr }).toMatchObject({ status: 0 });
    },
    CHECK_MS_MAX,
  );
});
