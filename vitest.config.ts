import { defineConfig } from "vitest/config";

/** Real processes that are killed, timed and driven by a command line: one file at a time, after the others. */
const PROCESS_TESTS = [
  "test/crash/**/*.test.ts",
  "test/cli/**/*.test.ts",
  "test/replicas/killed-replicas.test.ts",
];
/** Need a Postgres, an S3 server or a Redis, which they start themselves. */
const SERVICE_TESTS = [
  "test/**/postgres*.test.ts",
  "test/**/postgres/**/*.test.ts",
  "test/**/s3*.test.ts",
  "test/**/redis/**/*.test.ts",
  "test/transfer/**/*.test.ts",
];

/** Look at what sst.config.ts makes; what needs SST's platform is skipped, loudly, where it was not prepared. */
const INFRA_TESTS = ["test/infra/**/*.test.ts"];

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: "fast",
          include: ["test/**/*.test.ts"],
          exclude: [...PROCESS_TESTS, ...SERVICE_TESTS, ...INFRA_TESTS],
          // Two cores: more workers than that only make each other's time-outs.
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "infra",
          include: INFRA_TESTS,
          globalSetup: "test/infra/synth/setup.ts",
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: { name: "services", include: SERVICE_TESTS, maxWorkers: 2, sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        test: { name: "processes", include: PROCESS_TESTS, maxWorkers: 1, sequence: { groupOrder: 2 } },
      },
    ],
  },
});
