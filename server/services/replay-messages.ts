/** What the replayer and its worker say to each other. */
import type { ReplayError } from "../deployment/journal.ts";

export type ToWorker =
  | {
      readonly kind: "start";
      readonly batches: Uint8Array[];
      readonly hasBase: boolean;
      readonly cliVersion: string | null;
      readonly nowMs: number;
    }
  | { readonly kind: "base_chunk"; readonly streamId: number; readonly bytes: Uint8Array }
  | { readonly kind: "base_end"; readonly streamId: number }
  | { readonly kind: "pull_document" };

export type FromWorker =
  | { readonly kind: "pull_base"; readonly streamId: number }
  | { readonly kind: "unchanged" }
  | { readonly kind: "changed"; readonly warnings: readonly string[] }
  | { readonly kind: "document_chunk"; readonly bytes: Uint8Array }
  | { readonly kind: "document_end" }
  | {
      readonly kind: "replay_error";
      readonly reason: ReplayError["reason"];
      readonly message: string;
      readonly sequenceId: ReplayError["sequenceId"];
    }
  | { readonly kind: "error"; readonly message: string };
