/**
 * What this installation is. The one file to edit; every other choice has a default (infra/input.ts).
 * docs/deploy/aws.md explains them.
 */
import type { StatehouseConfig } from "./infra/input.ts";

export default {
  /** `efs`: SQLite and files on EFS, one task, about $31 a month. `aurora`: Postgres and S3, many tasks, about $102. */
  mode: "efs",
  region: "us-east-1",

  // domain: "state.example.com", // Route 53; { name, dns: "cloudflare", zone } or { name, dns: "none", cert }

  stages: {
    // Anything above can be another for one stage: `npm run sst -- deploy --stage staging`.
    // staging: { mode: "aurora" },
  },
} satisfies StatehouseConfig;
