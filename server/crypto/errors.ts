/** Why sealed bytes could not be opened. */
export type SealErrorCode =
  /** The bytes were changed, or are not sealed bytes at all. */
  | "damaged"
  /** The key is known, but these bytes belong to another scope, purpose or blob key (or their header is damaged). */
  | "wrong_key"
  /** The bytes end too early. */
  | "truncated"
  /** They name a master key that this server was not given. */
  | "unknown_key";

/** Sealed bytes of the server's own could not be opened. */
export class SealError extends Error {
  override readonly name = "SealError";
  readonly code: SealErrorCode;
  constructor(code: SealErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A ciphertext that a client sent is damaged, belongs to another scope, or needs a key we do not have. */
export class SecretError extends Error {
  override readonly name = "SecretError";
  readonly code: "damaged" | "unknown_key";
  constructor(code: SecretError["code"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
