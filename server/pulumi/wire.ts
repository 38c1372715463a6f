/** From our words to the protocol's: seconds instead of milliseconds, its names, its two vocabularies. */
import type { Stack, Update } from "../../db-adapters/contract.ts";
import type { ConfigValues } from "../services/updates.ts";

export function unixSeconds(ms: number | null): number {
  return ms === null ? 0 : Math.floor(ms / 1000);
}

/** `Stack` of the protocol reference, section 2.2. */
export function stackOnWire(stack: Stack): Record<string, unknown> {
  const operation = stack.currentOperation;
  return {
    id: stack.id,
    orgName: stack.organization,
    projectName: stack.project,
    stackName: stack.stack,
    ...(operation === null
      ? {}
      : {
          currentOperation: {
            kind: operation.kind,
            author: operation.author,
            started: unixSeconds(operation.startedMs),
          },
        }),
    // The id of the most recent update; "" makes `pulumi cancel` say that there never was one.
    activeUpdate: stack.activeUpdateId ?? "",
    tags: stack.tags,
    version: stack.version,
  };
}

export function stackSummaryOnWire(stack: Stack): Record<string, unknown> {
  return {
    id: stack.id,
    orgName: stack.organization,
    projectName: stack.project,
    stackName: stack.stack,
    // 0 would be shown as "in progress".
    ...(stack.lastUpdateMs === null ? {} : { lastUpdate: unixSeconds(stack.lastUpdateMs) }),
    ...(stack.stateVersion === null ? {} : { resourceCount: stack.resourceCount }),
  };
}

/** `GET U` says `running` where history says `in-progress`. */
export function statusOnWire(update: Update): string {
  return update.status === "discarded" ? "failed" : update.status;
}

function resultOnWire(update: Update): string {
  switch (update.status) {
    case "not started":
      return "not-started";
    case "running":
      return "in-progress";
    case "succeeded":
      return "succeeded";
    case "failed":
    case "discarded":
      return "failed";
    default:
      return update.status satisfies never;
  }
}

/** `UpdateInfo` of section 6.3. */
export function updateInfoOnWire(update: Update, config: ConfigValues): Record<string, unknown> {
  const metadata = JSON.parse(update.metadata) as { message?: string; environment?: Record<string, string> };
  return {
    updateID: update.id,
    kind: update.kind,
    startTime: unixSeconds(update.startedMs ?? update.createdMs),
    endTime: unixSeconds(update.endedMs),
    message: metadata.message ?? "",
    environment: metadata.environment ?? {},
    config,
    result: resultOnWire(update),
    version: update.version ?? 0,
    ...(update.resourceChanges === null
      ? {}
      : { resourceChanges: JSON.parse(update.resourceChanges) as unknown }),
    ...(update.resourceCount === null ? {} : { resourceCount: update.resourceCount }),
  };
}

/** `pulumi-cli/1 (v3.260.0; linux; …)`; null when it says no version. */
export function cliVersionOf(userAgent: string | undefined): string | null {
  const version = /^pulumi-cli\/\d+ \((v\d[0-9A-Za-z.+-]{0,60})[;)]/.exec(userAgent ?? "");
  return version?.[1] ?? null;
}
