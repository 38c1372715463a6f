/** Why a transfer ended. The message is for people: what happened and what to do. */
export class TransferError extends Error {
  override readonly name = "TransferError";
  readonly kind:
    | "source_gone"
    | "source_refused"
    | "other_release"
    | "other_key"
    | "target_not_empty"
    | "updates_running"
    | "never_settled"
    | "verification_failed"
    | "source_moved";
  constructor(kind: TransferError["kind"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}
