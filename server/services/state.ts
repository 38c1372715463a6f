/** Deployment documents: verified and stored on the way in, streamed as they are on the way out. */
import type { Stack, StackName, StateDocument, StateVersion } from "../../db-adapters/contract.ts";
import type { StoredDocument } from "../blobs/documents.ts";
import type { Context } from "../context.ts";
import {
  type BodyShape,
  type DocumentBody,
  DocumentError,
  EMPTY_DOCUMENT,
  readDocument,
} from "../deployment/document.ts";
import { AppError } from "../errors.ts";
import type { OrganizationAccess } from "../rules/access.ts";

/** A stored document with what its body said beside it; `document` null when it carried no deployment. */
export interface StoredBody {
  readonly body: DocumentBody;
  readonly document: StateDocument | null;
}

/**
 * Streams a body into the document store and verifies it in the same pass. Bytes first, row later: a crash in
 * between leaves a blob that no row names, which the orphan sweep deletes. `inRow`: the row can take a small one.
 * @throws AppError INVALID_STATE, with the place that is wrong
 */
export async function storeDocument(
  ctx: Context,
  stackId: string,
  shape: BodyShape,
  bytes: AsyncIterable<Uint8Array>,
  options: { readonly inRow: boolean } = { inRow: false },
): Promise<StoredBody> {
  const stream = readDocument(shape, bytes, { depthMax: ctx.config.jsonDepthMax });
  try {
    const blob = await ctx.documents.put(stackId, stream.document, {
      maxBytes: ctx.config.checkpointBytesMax,
      ...options,
    });
    const body = stream.result();
    if (!body.hasDeployment && shape === "checkpoint") {
      await ctx.documents.delete(blob);
      return { body, document: null };
    }
    return { body, document: withSummary(blob, body) };
  } catch (error) {
    if (error instanceof DocumentError) {
      throw new AppError("INVALID_STATE", { reason: error.reason }, { cause: error, detail: error.message });
    }
    throw error;
  }
}

function withSummary(blob: StoredDocument, body: DocumentBody): StateDocument {
  const { summary } = body;
  return {
    blobKey: blob.blobKey,
    sha256: blob.sha256,
    sizeBytes: blob.sizeBytes,
    sealed: blob.sealed,
    resourceCount: summary.resourceCount,
    resourceTotal: summary.resourceTotal,
    problems: summary.problemCount === 0 ? null : JSON.stringify(summary.problems),
  };
}

/** What a user should read about a document that failed verification; null for a sound one. */
export function problemSentence(document: StateDocument, goodVersion: number | null): string | null {
  if (document.problems === null) return null;
  const problems = JSON.parse(document.problems) as { message: string }[];
  const first = (problems[0]?.message ?? "unknown").replace(/\.$/, "");
  const way = goodVersion === null ? "" : ` The last version that passed is ${goodVersion}.`;
  return `The state was stored but failed verification: ${first}.${way} See 'pulumi state repair'.`;
}

/** Logs and counts a document that failed verification. */
export function reportProblems(ctx: Context, stackId: string, document: StateDocument): void {
  if (document.problems === null) return;
  ctx.metrics.badDocuments.inc();
  ctx.log.warn(
    { stackId, blobKey: document.blobKey, problems: document.problems },
    "state failed verification",
  );
}

/** @throws AppError STACK_NOT_FOUND */
export async function getStack(ctx: Context, access: OrganizationAccess, name: StackName): Promise<Stack> {
  const stack = await ctx.db.findStack({ ...name, organization: access.organization });
  if (stack === null) throw noStack(name);
  return stack;
}

function noStack({ project, stack }: StackName): AppError {
  return new AppError("STACK_NOT_FOUND", { stack: `${project}/${stack}` });
}

export interface DocumentBytes {
  readonly sizeBytes: number;
  readonly bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

export async function openVersion(ctx: Context, version: StateVersion): Promise<DocumentBytes> {
  const bytes = await ctx.documents.open(version.stackId, version);
  return { sizeBytes: version.sizeBytes, bytes };
}

/**
 * The current state, or that after update `version`. While an update runs this is still its frozen base:
 * journal indices refer to it (protocol reference 4.8.7). A stack without state has an empty document.
 * @throws AppError STACK_NOT_FOUND | STATE_VERSION_NOT_FOUND
 */
export async function exportState(
  ctx: Context,
  access: OrganizationAccess,
  name: StackName,
  version: number | "latest",
): Promise<DocumentBytes> {
  const found = await ctx.db.findStateOf({ ...name, organization: access.organization }, version);
  if (found.kind === "absent") throw noStack(name);
  if (found.state !== null) return openVersion(ctx, found.state);
  if (version !== "latest") throw new AppError("STATE_VERSION_NOT_FOUND", { version });
  return { sizeBytes: EMPTY_DOCUMENT.byteLength, bytes: [EMPTY_DOCUMENT] };
}

/**
 * Stores a document as the stack's next version (`stack import` and all `state` commands).
 * @throws AppError STACK_NOT_FOUND | STACK_BUSY | INVALID_STATE
 */
export async function importState(
  ctx: Context,
  access: OrganizationAccess,
  name: StackName,
  bytes: AsyncIterable<Uint8Array>,
): Promise<{ updateId: string; warning: string | null }> {
  const stack = await getStack(ctx, access, name);
  if (stack.currentOperation !== null) throw new AppError("STACK_BUSY", { stackId: stack.id });
  const { document } = await storeDocument(ctx, stack.id, "untyped", bytes, { inRow: true });
  if (document === null) throw new AppError("INVALID_STATE");
  const updateId = ctx.newOrderedId();
  const outcome = await ctx.db.importState({
    stackId: stack.id,
    updateId,
    actor: access.principal.identity.login,
    message: "",
    state: document,
    nowMs: ctx.nowMs(),
  });
  switch (outcome.kind) {
    case "imported":
      reportProblems(ctx, stack.id, document);
      return { updateId, warning: problemSentence(document, stack.goodVersion) };
    case "update_running":
      await ctx.documents.delete(document);
      throw new AppError("STACK_BUSY", { stackId: stack.id });
    case "absent":
      await ctx.documents.delete(document);
      throw new AppError("STACK_NOT_FOUND", { stackId: stack.id });
    default:
      return outcome satisfies never;
  }
}
