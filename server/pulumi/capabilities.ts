/**
 * What the CLI may expect. A known name with a missing or wrong `configuration` makes it warn on every command
 * and go on with no capability at all (protocol reference 3).
 */
import type { Config } from "../config/schema.ts";

const DEPLOYMENT_SCHEMA_VERSION = 4;

export function capabilities(config: Config): { capabilities: readonly Record<string, unknown>[] } {
  return {
    capabilities: [
      { capability: "batch-encrypt" },
      {
        capability: "deployment-schema-version",
        version: 1,
        configuration: { version: DEPLOYMENT_SCHEMA_VERSION },
      },
      // Off by default: the CLI's own writer for it loses pending operations (protocol reference 3.3).
      ...(config.deltaCheckpoints
        ? [
            {
              capability: "delta-checkpoint-uploads-v2",
              version: 2,
              configuration: { checkpointCutoffSizeBytes: config.deltaCutoffBytes },
            },
          ]
        : []),
    ],
  };
}
