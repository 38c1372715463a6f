/** Artifacts on the wire, and what requests about them look like. */
import { z } from "zod";
import {
  type Artifact,
  type ArtifactFilter,
  type ArtifactLimits,
  type ArtifactUsage,
  UNLIMITED,
} from "../../db-adapters/contract.ts";
import { Id, isoTime, OwnerName, Time, UpdateId } from "../admin/fields.ts";
import { isProjectName, isStackName } from "../rules/names.ts";
import type { LimitsInForce } from "../services/artifacts-limits.ts";
import { ARTIFACT_KINDS } from "../services/artifacts-names.ts";

export const ARTIFACTS_PATH = "/api/artifacts/:org";
export const TAG = "artifacts";

export const OrgParams = z.strictObject({ org: OwnerName });
export const ItemParams = z.strictObject({ org: OwnerName, id: Id });

const Count = z.int().min(0);

export const ArtifactView = z
  .strictObject({
    id: z.string(),
    organization: z.string(),
    project: z.string().nullable(),
    stack: z
      .string()
      .nullable()
      .meta({ description: "Null for one that isn't a stack's, or whose stack is gone" }),
    update: z.string().nullable(),
    commit: z.string().nullable(),
    name: z.string(),
    version: Count.meta({ description: "Counts what has one name at one place, from 1" }),
    kind: z.string(),
    contentType: z.string(),
    size: Count,
    sha256: z.string(),
    labels: z.record(z.string(), z.string()),
    pinned: z.boolean(),
    encryption: z.enum(["server", "bucket"]).meta({ description: "Who encrypts the bytes" }),
    createdBy: z.string(),
    createdAt: Time,
  })
  .meta({ id: "Artifact" });

export function viewOf(artifact: Artifact): z.output<typeof ArtifactView> {
  const { id, organization, project, stack, commit, name, version, kind, contentType, sha256, labels } =
    artifact;
  return {
    ...{
      id,
      organization,
      project,
      stack,
      update: artifact.updateId,
      commit,
      name,
      version,
      kind,
      contentType,
    },
    ...{ size: artifact.sizeBytes, sha256, labels, pinned: artifact.isPinned },
    encryption: artifact.isSealed ? "server" : "bucket",
    createdBy: artifact.actor,
    createdAt: isoTime(artifact.createdMs),
  };
}

const Project = z.string().refine(isProjectName, { error: "a project's name" });
const Stack = z.string().refine(isStackName, { error: "a stack's name" });
const Commit = z
  .string()
  .regex(/^[0-9a-fA-F]{7,64}$/, { error: "7 to 64 hexadecimal digits" })
  .transform((commit) => commit.toLowerCase());
export const Sha256 = z
  .string()
  .regex(/^[0-9a-fA-F]{64}$/, { error: "64 hexadecimal digits" })
  .transform((sha256) => sha256.toLowerCase());
const Label = z.string().regex(/^[^=]{1,63}=.{0,256}$/su, { error: "name=value" });
const Kind = z.enum(ARTIFACT_KINDS);
export const Labels = z.record(z.string(), z.string());

export const placeFields = {
  project: Project.optional(),
  stack: Stack.optional(),
  update: UpdateId.optional(),
  commit: Commit.optional(),
};

/** The query of uploads. */
export const UploadQuery = z.strictObject({
  ...placeFields,
  kind: Kind.default("other"),
  label: z
    .union([Label, z.array(Label)])
    .optional()
    .meta({ description: "`name=value`, as often as needed" }),
  pinned: z.enum(["true", "false"]).default("false"),
});

export const NamedUploadQuery = UploadQuery.extend({ name: z.string().min(1).max(1024) });

/** What an upload says besides its bytes. */
export function uploadOf(query: z.output<typeof UploadQuery>) {
  const { label = [], pinned, project, stack, update, commit, kind } = query;
  const pairs = [label].flat().map((it) => {
    const at = it.indexOf("=");
    return [it.slice(0, at), it.slice(at + 1)] as const;
  });
  return {
    project,
    stack,
    update,
    commit,
    kind,
    labels: Object.fromEntries(pairs),
    pinned: pinned === "true",
  };
}

export const NewUpload = z
  .strictObject({
    ...placeFields,
    name: z.string().min(1).max(1024),
    size: Count.max(Number.MAX_SAFE_INTEGER),
    sha256: Sha256,
    contentType: z.string().max(256).optional(),
    kind: Kind.default("other"),
    labels: Labels.default({}),
    pinned: z.boolean().default(false),
    inParts: z
      .boolean()
      .default(false)
      .meta({ description: "The bytes come in parts, over up to 12 hours, and need no link" }),
  })
  .meta({ id: "NewArtifactUpload" });

export const PartParams = z.strictObject({
  org: OwnerName,
  id: Id,
  number: z.coerce.number().int().min(1).max(999_999),
});

export const UploadView = z
  .strictObject({
    id: z.string(),
    size: Count,
    partBytes: Count.meta({ description: "Of every part but the last" }),
    parts: z.array(Count).meta({ description: "Numbers, from 1, of the parts that are there" }),
    expiresAt: Time,
  })
  .meta({ id: "PendingArtifactUpload" });

export const PartLinkBody = z.strictObject({ sha256: Sha256 }).meta({ id: "NewArtifactPart" });

export const PartLinkView = z
  .strictObject({
    link: z
      .strictObject({
        method: z.literal("PUT"),
        url: z.string(),
        headers: z.record(z.string(), z.string()).meta({ description: "To be sent as they are" }),
        expiresAt: Time,
      })
      .nullable()
      .meta({ description: "Into the bucket itself; null: PUT the part to this server" }),
  })
  .meta({ id: "ArtifactPartLink" });

export const UploadGrantView = z
  .strictObject({
    id: z.string(),
    method: z.literal("PUT"),
    url: z.string(),
    headers: z.record(z.string(), z.string()).meta({ description: "To be sent as they are" }),
    expiresAt: Time,
    direct: z.boolean().meta({ description: "Whether the bytes go to the bucket past this server" }),
  })
  .meta({ id: "ArtifactUpload" });

export const LinkView = z
  .strictObject({ url: z.string(), expiresAt: Time, direct: z.boolean() })
  .meta({ id: "ArtifactLink" });

const Limit = z.union([Count.max(Number.MAX_SAFE_INTEGER), z.literal("unlimited")]).nullable();
const LIMITS = "Of a place itself. Null: what is set for the organization, or for all, holds";

/** Pinned artifacts neither count nor go. */
export const LimitsBody = z
  .strictObject({
    retentionDays: Limit.default(null).meta({ description: "Age at which artifacts are deleted" }),
    files: Limit.default(null).meta({ description: "Newest that are kept" }),
    bytes: Limit.default(null).meta({ description: "Size above which the oldest are deleted" }),
    quotaBytes: Limit.default(null).meta({
      description: "An organization's: what would exceed it is refused",
    }),
  })
  .meta({ id: "NewArtifactLimits", description: LIMITS });

const InForce = z.strictObject({
  retentionDays: Count.nullable(),
  files: Count.nullable(),
  bytes: Count.nullable(),
  quotaBytes: Count.nullable(),
});

export const LimitsView = z
  .strictObject({
    own: z.strictObject({ retentionDays: Limit, files: Limit, bytes: Limit, quotaBytes: Limit }),
    inForce: InForce.meta({ description: "What holds for it; null for no limit" }),
  })
  .meta({ id: "ArtifactLimits", description: LIMITS });

export function limitsViewOf({ own, inForce }: LimitsInForce): z.output<typeof LimitsView> {
  const shown = (limit: number | null) => (limit === UNLIMITED ? "unlimited" : limit);
  return {
    own: {
      ...{ retentionDays: shown(own.ageDays), files: shown(own.filesMax), bytes: shown(own.bytesMax) },
      quotaBytes: shown(own.quotaBytes),
    },
    inForce: inForceOf(inForce),
  };
}

function inForceOf(limits: ArtifactLimits): z.output<typeof InForce> {
  const { ageDays: retentionDays, filesMax: files, bytesMax: bytes, quotaBytes } = limits;
  return { retentionDays, files, bytes, quotaBytes };
}

export function limitsOf(body: z.output<typeof LimitsBody>): ArtifactLimits {
  const asked = (limit: number | "unlimited" | null) => (limit === "unlimited" ? UNLIMITED : limit);
  return {
    ...{ ageDays: asked(body.retentionDays), filesMax: asked(body.files), bytesMax: asked(body.bytes) },
    quotaBytes: asked(body.quotaBytes),
  };
}

export const UsageView = z
  .strictObject({
    files: Count,
    bytes: Count,
    quotaBytes: Count.nullable(),
    limits: InForce.meta({ description: "What holds for it; null for no limit" }),
  })
  .meta({ id: "ArtifactUsage" });

export function usageViewOf(usage: ArtifactUsage, limits: ArtifactLimits): z.output<typeof UsageView> {
  return { ...usage, quotaBytes: limits.quotaBytes, limits: inForceOf(limits) };
}

export const ChangeBody = z
  .strictObject({
    labels: Labels.optional().meta({ description: "Replaces all labels" }),
    pinned: z.boolean().optional().meta({ description: "Pinned ones are neither swept nor deleted" }),
  })
  .meta({ id: "ArtifactChange" });

/** Without what wasn't asked for: the contract's optional members are absent or there. */
export function filterOf(
  query: {
    readonly [Name in "project" | "stack" | "update" | "commit" | "name" | "sha256"]?: string | undefined;
  },
): ArtifactFilter {
  const { project, stack, update: updateId, commit, name, sha256 } = query;
  const given = Object.entries({ project, stack, updateId, commit, name: name?.normalize("NFC"), sha256 });
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}
