/**
 * What the CLI sends, as far as the server reads it. Unknown members are ignored: newer CLIs add some every
 * few releases. Protocol reference section 2.
 */
import { z } from "zod";

const TagMap = z.record(z.string(), z.string());

export const CreateStack = z.object({
  stackName: z.string(),
  tags: TagMap.nullish(),
  /** Taken from the raw body, so that its bytes stay as they are. */
  state: z.unknown().optional(),
  config: z.unknown().optional(),
});

export const Tags = TagMap.nullable();

export const Rename = z.object({ newName: z.string().nullish(), newProject: z.string().nullish() });

const Base64 = z.string();
export const Encrypt = z.object({ plaintext: Base64.nullish() });
export const Decrypt = z.object({ ciphertext: Base64.nullish() });
export const BatchEncrypt = z.object({ plaintexts: z.array(Base64).nullish() });
export const BatchDecrypt = z.object({ ciphertexts: z.array(Base64).nullish() });

export const LogDecryption = z.object({
  secretName: z.string().max(1024).nullish(),
  commandName: z.string().max(1024).nullish(),
});

const ConfigValue = z.looseObject({
  string: z.string().nullish(),
  secret: z.boolean().nullish(),
  object: z.boolean().nullish(),
});

export const CreateUpdate = z.object({
  options: z.looseObject({ dryRun: z.boolean().nullish() }).nullish(),
  config: z.record(z.string(), ConfigValue).nullish(),
  metadata: z
    .looseObject({
      message: z.string().nullish(),
      environment: z.record(z.string(), z.string()).nullish(),
    })
    .nullish(),
});

export const StartUpdate = z.object({
  tags: TagMap.nullish(),
  journalVersion: z.number().int().min(0).nullish(),
});

export const RenewLease = z.object({ duration: z.number().int().nullish() });

/** The CLI sends the first two; other clients say `cancelled`, which is a failure here. */
export const Complete = z.object({ status: z.enum(["succeeded", "failed", "cancelled"]) });

export const ContinuationQuery = z.object({
  continuationToken: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,600}$/)
    .optional(),
});
/** Event tokens are sequence numbers. */
export const EventsQuery = z.object({
  continuationToken: z
    .string()
    .regex(/^(-1|\d{1,16})$/)
    .optional(),
});

export const StacksQuery = ContinuationQuery.extend({
  organization: z.string().optional(),
  project: z.string().optional(),
  tagName: z.string().optional(),
  tagValue: z.string().optional(),
});

export const HistoryQuery = z.object({
  page: z.coerce.number().int().min(0).max(1_000_000_000).optional(),
  pageSize: z.coerce.number().int().min(0).max(1_000_000).optional(),
});

/** More than a hundred times what the CLI puts into one batch. */
const EVENTS_MAX = 10_000;
const EngineEvent = z.looseObject({
  sequence: z.number().int().min(0),
  timestamp: z.number(),
  summaryEvent: z.looseObject({ resourceChanges: z.record(z.string(), z.number()).nullish() }).nullish(),
});
export const EventBatch = z.object({ events: z.array(EngineEvent).max(EVENTS_MAX).nullish() });
