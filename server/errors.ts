/**
 * Every error a client can see. A code never changes meaning; status and words are wire contract: `pulumi` and
 * its Automation API match some of them word for word (protocol reference 1.5).
 */
export const ERRORS = {
  // requests
  INVALID_REQUEST: { status: 400, message: "The request is not valid" },
  INVALID_NAME: { status: 400, message: "The name is not valid" },
  MALFORMED_BODY: { status: 400, message: "The request body could not be read" },
  UNSUPPORTED_ENCODING: { status: 415, message: "Content-Encoding must be gzip or absent" },
  BODY_TOO_LARGE: { status: 413, message: "The request body is too large" },
  ROUTE_NOT_FOUND: { status: 404, message: "There is nothing at this path" },
  REQUEST_TIMEOUT: { status: 408, message: "The request took too long to arrive" },
  // who and what
  LOGIN_REQUIRED: { status: 401, message: "An access token is required" },
  INVALID_TOKEN: { status: 401, message: "The access token is unknown, expired or revoked" },
  TOO_MANY_FAILURES: { status: 429, message: "Too many failed sign-ins from this address; try again later" },
  FORBIDDEN: { status: 403, message: "Your role does not allow this" },
  ADMIN_REQUIRED: { status: 403, message: "Only the admin token may do this" },
  LEASE_TOKEN_REQUIRED: { status: 403, message: "This call takes the token of a running update" },
  /** Ends `pulumi`'s renewals. */
  LEASE_EXPIRED: { status: 403, message: "The provided update token has expired" },
  // people
  ORGANIZATION_NOT_FOUND: { status: 404, message: "Organization not found" },
  ORGANIZATION_EXISTS: { status: 409, message: "An organization of this name already exists" },
  ORGANIZATION_HAS_STACKS: { status: 409, message: "The organization still has stacks; remove them first" },
  USER_NOT_FOUND: { status: 404, message: "User not found" },
  USER_EXISTS: { status: 409, message: "A user of this login already exists" },
  MEMBER_NOT_FOUND: { status: 404, message: "Member not found" },
  TOKEN_NOT_FOUND: { status: 404, message: "Token not found" },
  // stacks
  PROJECT_NOT_FOUND: { status: 404, message: "Project not found" },
  STACK_NOT_FOUND: { status: 404, message: "Stack not found" },
  STACK_EXISTS: { status: 409, message: "Conflict: stack already exists" },
  /** Word for word: the CLI offers `--force` on it. */
  STACK_HAS_RESOURCES: { status: 400, message: "Bad Request: Stack still contains resources." },
  STACK_BUSY: { status: 409, message: "Conflict: Another update is currently in progress." },
  STACK_CHANGED: { status: 409, message: "Conflict: the stack changed meanwhile; try again" },
  STATE_VERSION_NOT_FOUND: { status: 404, message: "The stack has no such version" },
  INVALID_STATE: { status: 400, message: "The deployment is not valid" },
  INVALID_CIPHERTEXT: { status: 400, message: "The ciphertext was not made for this stack or is damaged" },
  // updates
  UPDATE_NOT_FOUND: { status: 404, message: "Update not found" },
  NO_PREVIOUS_UPDATE: { status: 404, message: "The stack has no updates yet" },
  /** Word for word: the Automation API looks for it on the CLI's standard error. */
  UPDATE_CONFLICT: { status: 409, message: "Conflict: Another update is currently in progress." },
  UPDATE_FINISHED: { status: 409, message: "Conflict: The update has already finished" },
  UPDATE_COMPLETED: { status: 409, message: "Conflict: The Update has already completed" },
  INVALID_JOURNAL: { status: 400, message: "The journal entries are not valid" },
  JOURNAL_FULL: { status: 400, message: "The update's journal is full" },
  SEQUENCE_GAP: { status: 400, message: "A state save is missing before this one" },
  INVALID_DELTA: { status: 400, message: "The delta does not fit the last saved state; send it whole" },
  // artifacts
  ARTIFACT_NOT_FOUND: { status: 404, message: "Artifact not found" },
  ARTIFACT_CHECKSUM: { status: 400, message: "The bytes don't have the checksum that was given" },
  ARTIFACT_QUOTA: { status: 413, message: "The organization's artifacts would be larger than their quota" },
  ARTIFACT_PINNED: { status: 409, message: "The artifact is pinned; unpin it first" },
  ARTIFACT_NOT_UPLOADED: { status: 409, message: "The artifact's bytes have not arrived" },
  ARTIFACT_LINK_INVALID: { status: 403, message: "The link has ended or is not as it was made" },
  // the server itself
  REPLAY_FAILED: {
    status: 500,
    message:
      "The update's journal could not be replayed; it is kept, and the state is what it was before the update",
  },
  READ_ONLY: { status: 503, message: "This Statehouse takes no writes at the moment" },
  MOVED: { status: 410, message: "This Statehouse was moved and takes no writes any more" },
  UNAVAILABLE: { status: 503, message: "The storage is not available at the moment; try again" },
  INTERNAL: { status: 500, message: "Something went wrong on the server; its log has the details" },
} as const satisfies Record<string, { status: number; message: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** A detail may quote the request (names of members, a place in a journal), which may be long. */
const DETAIL_CHARS_MAX = 1_000;

/** As it is, or its beginning with a sign that something follows. */
export function shortened(text: string, charsMax: number): string {
  return text.length <= charsMax ? text : `${text.slice(0, charsMax).toWellFormed()}…`;
}

export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: ErrorCode;
  /** Ids and numbers for the log line; never sent to a client. */
  readonly context: Readonly<Record<string, string | number>>;

  /** `options.detail` is appended to the catalogue's sentence and does reach the client. */
  constructor(
    code: ErrorCode,
    context: AppError["context"] = {},
    options: { cause?: unknown; detail?: string } = {},
  ) {
    const { message } = ERRORS[code];
    const { detail, cause } = options;
    super(detail === undefined ? message : `${message}: ${shortened(detail, DETAIL_CHARS_MAX)}`, { cause });
    this.code = code;
    this.context = context;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }
}
