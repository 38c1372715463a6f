/**
 * Who gets what, written out. `OUTCOMES` says for each requirement what each caller is told; `CASES` says for
 * each route what it requires. Neither is derived from the server's own tables: a change there fails here.
 */

/** `allowed`: the route did its work. The numbers are refusals that reach no handler. */
export type Outcome = "allowed" | 401 | 403 | 404;

export const CALLERS = [
  "nobody",
  "garbage",
  "expired",
  "revoked",
  "viewer",
  "member",
  "admin",
  "viewer elsewhere",
  "member elsewhere",
  "admin elsewhere",
  "machine viewer",
  "machine member",
  "machine elsewhere",
  "instance admin",
  "lease",
  "lease of another update",
  "garbage lease",
] as const;
export type Caller = (typeof CALLERS)[number];

export type Needs =
  | "open"
  | "sign-in"
  | "organization:read"
  | "stack:read"
  | "stack:preview"
  | "stack:decrypt"
  | "stack:write"
  | "stack:delete"
  | "organization:write"
  | "artifact:read"
  | "artifact:write"
  | "artifact:delete"
  | "lease"
  | "admin token";

function told<const C extends Caller>(outcome: Outcome, ...callers: C[]): Record<C, Outcome> {
  return Object.fromEntries(callers.map((caller) => [caller, outcome])) as Record<C, Outcome>;
}

const NOT_SIGNED_IN = {
  ...told(401, "nobody", "garbage", "expired", "revoked"),
  ...told(401, "lease", "lease of another update", "garbage lease"),
};
/** An outsider isn't even told whether the organization exists. */
const OUTSIDERS = {
  ...NOT_SIGNED_IN,
  ...told(404, "viewer elsewhere", "member elsewhere", "admin elsewhere", "machine elsewhere"),
};
const ANYBODY_INSIDE = {
  ...OUTSIDERS,
  ...told("allowed", "viewer", "member", "admin", "machine viewer", "machine member", "instance admin"),
};
const MEMBERS = { ...ANYBODY_INSIDE, ...told(403, "viewer", "machine viewer") };
const ADMINS = { ...MEMBERS, ...told(403, "member", "machine member") };

export const OUTCOMES: Readonly<Record<Needs, Readonly<Record<Caller, Outcome>>>> = {
  open: told("allowed", ...CALLERS),
  "sign-in": {
    ...NOT_SIGNED_IN,
    ...told("allowed", "viewer", "member", "admin", "machine viewer", "machine member", "instance admin"),
    ...told("allowed", "viewer elsewhere", "member elsewhere", "admin elsewhere", "machine elsewhere"),
  },
  "organization:read": ANYBODY_INSIDE,
  "stack:read": ANYBODY_INSIDE,
  "stack:preview": ANYBODY_INSIDE,
  "stack:decrypt": MEMBERS,
  "stack:write": MEMBERS,
  "stack:delete": ADMINS,
  "organization:write": ADMINS,
  "artifact:read": ANYBODY_INSIDE,
  "artifact:write": MEMBERS,
  "artifact:delete": MEMBERS,
  // The CLI stops on 403; a person's token is no lease, whoever the person is.
  lease: { ...told(403, ...CALLERS), ...told(401, "nobody"), ...told("allowed", "lease") },
  "admin token": { ...told(403, ...CALLERS), ...NOT_SIGNED_IN, ...told("allowed", "instance admin") },
};

/** What a request is aimed at; made anew for each caller who is let in. */
export interface Target {
  readonly stack: string;
  readonly updateId: string;
  readonly ciphertext: string;
  /** Something new each time, for names. */
  readonly fresh: string;
}

export interface Case {
  readonly needs: Needs;
  /** In what state the stack's update is; a real one that runs unless said otherwise. */
  readonly update?: "none" | "created" | "preview" | "running";
  /** What the handler answers when it is reached and can't do its work; else 2xx is expected. */
  readonly reached?: number;
  readonly body?: unknown | ((target: Target) => unknown);
  readonly query?: string;
  /** Values of path parameters that aren't the target's. */
  readonly params?: (target: Target) => Readonly<Record<string, string>>;
}

const S = "/api/stacks/:org/:project/:stack";
const A = "/api/admin/v1";
/** After its creation an update is called by any of these names. */
const UPDATE_KINDS = ["update", "preview", "refresh", "destroy", "import"] as const;

const DEPLOYMENT = {
  manifest: { time: "2026-01-01T00:00:00Z", magic: "", version: "" },
  resources: [],
  metadata: {},
};
const REAL = { options: { dryRun: false }, metadata: {} };
const DRY = { options: { dryRun: true }, metadata: {} };

function updateCases(kind: string): Record<string, Case> {
  const u = `${S}/${kind}/:updateId`;
  const lease = (body: unknown, more: Partial<Case> = {}): Case => ({ needs: "lease", body, ...more });
  return {
    [`PATCH ${u}/journalentries`]: lease({ entries: [] }),
    [`POST ${u}/events/batch`]: lease({ events: [] }),
    [`POST ${u}/renew_lease`]: lease({ duration: 60 }),
    [`PATCH ${u}/checkpoint`]: lease({ version: 3, deployment: DEPLOYMENT }),
    [`PATCH ${u}/checkpointverbatim`]: lease({
      sequenceNumber: 1,
      version: 3,
      untypedDeployment: { version: 3, deployment: DEPLOYMENT },
    }),
    // There is no save before it, which is the first thing that its handler says.
    [`PATCH ${u}/checkpointdelta`]: lease(
      { sequenceNumber: 1, version: 3, checkpointHash: "00", deploymentDelta: [] },
      { reached: 400 },
    ),
    [`POST ${u}/complete`]: lease({ status: "succeeded" }),
    [`POST ${u} (a real one)`]: { needs: "stack:write", update: "created", body: {} },
    [`POST ${u} (a preview)`]: { needs: "stack:preview", update: "preview", body: {} },
    [`GET ${u}`]: { needs: "stack:read" },
    [`GET ${u}/events`]: { needs: "stack:read" },
    [`POST ${u}/cancel`]: { needs: "stack:write" },
  };
}

const F = "/api/artifacts/:org";
/** Authorised, its query is looked at first; a 404 could not be told from a refusal. */
const noArtifact = (needs: Needs, body?: unknown): Case => ({
  ...{ needs, reached: 400, query: "?nothing=1", params: () => ({ id: "none", number: "1" }) },
  ...(body === undefined ? {} : { body }),
});
const login = (it: Target) => ({ login: it.fresh });
const organization = (it: Target) => ({ organization: it.fresh });

/** By `METHOD path`; what stands in brackets tells two requests to one route apart. */
export const CASES: Readonly<Record<string, Case>> = {
  ...Object.assign({}, ...UPDATE_KINDS.map(updateCases)),

  [`POST ${S}/update (for real)`]: { needs: "stack:write", update: "none", body: REAL },
  [`POST ${S}/update (a dry run)`]: { needs: "stack:preview", update: "none", body: DRY },
  [`POST ${S}/preview`]: { needs: "stack:preview", update: "none", body: REAL },
  [`POST ${S}/refresh (for real)`]: { needs: "stack:write", update: "none", body: REAL },
  [`POST ${S}/refresh (a dry run)`]: { needs: "stack:preview", update: "none", body: DRY },
  [`POST ${S}/destroy (for real)`]: { needs: "stack:write", update: "none", body: REAL },
  [`POST ${S}/destroy (a dry run)`]: { needs: "stack:preview", update: "none", body: DRY },
  [`GET ${S}/updates`]: { needs: "stack:read" },
  [`GET ${S}/updates/latest`]: { needs: "stack:read" },
  [`GET ${S}/updates/latest/previews`]: { needs: "stack:read" },
  [`GET ${S}/updates/:version`]: { needs: "stack:read" },

  [`GET ${S}`]: { needs: "stack:read" },
  [`GET ${S}/export`]: { needs: "stack:read" },
  [`GET ${S}/export/:version`]: { needs: "stack:read" },
  [`POST ${S}/encrypt`]: { needs: "stack:preview", body: { plaintext: "aGVsbG8=" } },
  [`POST ${S}/batch-encrypt`]: { needs: "stack:preview", body: { plaintexts: ["aGVsbG8="] } },
  [`POST ${S}/decrypt`]: { needs: "stack:decrypt", body: (it: Target) => ({ ciphertext: it.ciphertext }) },
  [`POST ${S}/batch-decrypt`]: {
    needs: "stack:decrypt",
    body: (it: Target) => ({ ciphertexts: [it.ciphertext] }),
  },
  [`POST ${S}/decrypt/log-decryption`]: { needs: "stack:read", body: { secretName: "key" } },
  [`POST ${S}/decrypt/log-batch-decryption`]: { needs: "stack:read", body: { commandName: "config" } },
  "POST /api/stacks/:org/:project": {
    needs: "stack:write",
    update: "none",
    body: (it: Target) => ({ stackName: it.fresh }),
  },
  "HEAD /api/stacks/:org/:project": { needs: "stack:read" },
  "GET /api/stacks/:org/:project": { needs: "stack:read" },
  [`DELETE ${S} (with force, although it has resources)`]: {
    ...{ needs: "stack:delete", update: "none", query: "?force=true" },
  },
  [`PATCH ${S}/tags`]: { needs: "stack:write", body: { owner: "me" } },
  [`POST ${S}/rename`]: {
    needs: "stack:write",
    update: "none",
    body: (it: Target) => ({ newName: it.fresh }),
  },
  [`POST ${S}/import`]: {
    needs: "stack:write",
    update: "none",
    body: { version: 3, deployment: DEPLOYMENT },
  },

  "GET /api/capabilities": { needs: "open" },
  "GET /api/user": { needs: "sign-in" },
  "GET /api/user/organizations/default": { needs: "sign-in" },
  "GET /api/user/stacks": { needs: "sign-in" },
  "GET /api/orgs/:org/members": { needs: "organization:read" },
  "GET /api/orgs/:org/templates": { needs: "organization:read" },
  "GET /api/registry/templates": { needs: "open" },
  "GET /api/registry/packages": { needs: "open" },

  "GET /livez": { needs: "open" },
  "GET /readyz": { needs: "open" },
  "GET /healthz": { needs: "open" },
  "GET /metrics": { needs: "open" }, // unless a token for it is set, which operations.test.ts does

  [`GET ${F}`]: { needs: "artifact:read" },
  // A body of JSON is no form.
  [`POST ${F}`]: { needs: "artifact:write", query: "?commit=0123abc", body: {}, reached: 400 },
  [`PUT ${F}`]: { needs: "artifact:write", query: "?commit=0123abc&name=a.txt", body: "bytes" },
  [`GET ${F}/usage`]: { needs: "artifact:read" },
  [`GET ${F}/limits`]: { needs: "artifact:read" },
  [`PUT ${F}/limits`]: { needs: "organization:write", body: {} },
  [`POST ${F}/uploads`]: {
    needs: "artifact:write",
    body: { commit: "0123abc", name: "a", size: 1, sha256: "0".repeat(64) },
  },
  [`POST ${F}/uploads/:id/complete`]: noArtifact("artifact:write"),
  [`GET ${F}/uploads/:id`]: noArtifact("artifact:write"),
  [`POST ${F}/uploads/:id/parts/:number`]: noArtifact("artifact:write", { sha256: "0".repeat(64) }),
  [`PUT ${F}/uploads/:id/parts/:number`]: noArtifact("artifact:write"),
  [`HEAD ${F}/items/:id/content`]: noArtifact("artifact:read"),
  [`GET ${F}/items/:id/content`]: noArtifact("artifact:read"),
  [`GET ${F}/items/:id`]: noArtifact("artifact:read"),
  [`PATCH ${F}/items/:id`]: noArtifact("artifact:write", { pinned: true }),
  [`DELETE ${F}/items/:id`]: noArtifact("artifact:delete"),
  [`POST ${F}/items/:id/link`]: noArtifact("artifact:read"),
  // Signed links: without a signature they lead nowhere, whoever asks.
  [`HEAD ${F}/signed/:id`]: { needs: "open", reached: 403, params: () => ({ id: "none", number: "1" }) },
  [`GET ${F}/signed/:id`]: { needs: "open", reached: 403, params: () => ({ id: "none", number: "1" }) },
  [`PUT ${F}/uploads/:id/content`]: {
    needs: "open",
    reached: 403,
    body: {},
    params: () => ({ id: "none", number: "1" }),
  },

  [`GET ${A}/openapi.json`]: { needs: "open" },
  [`GET ${A}/status`]: { needs: "admin token" },
  [`GET ${A}/transfer`]: { needs: "admin token" },
  [`POST ${A}/transfer/rows`]: {
    needs: "admin token",
    body: { table: "setting", after: null, through: null, digestOnly: true },
  },
  [`GET ${A}/transfer/blobs`]: { needs: "admin token" },
  [`GET ${A}/transfer/blob`]: { needs: "admin token", query: "?key=none", reached: 404 },
  [`PUT ${A}/transfer/serving`]: { needs: "admin token", body: { mode: "open", message: "" } },
  [`GET ${A}/organizations`]: { needs: "admin token" },
  [`POST ${A}/organizations`]: { needs: "admin token", body: (it: Target) => ({ name: `${it.fresh}-x` }) },
  [`GET ${A}/organizations/:organization`]: { needs: "admin token", params: organization },
  [`DELETE ${A}/organizations/:organization`]: { needs: "admin token", params: organization },
  [`GET ${A}/organizations/:organization/members`]: { needs: "admin token", params: organization },
  [`PUT ${A}/organizations/:organization/members/:login`]: {
    needs: "admin token",
    params: (it) => ({ ...organization(it), ...login(it) }),
    body: { role: "viewer" },
  },
  [`DELETE ${A}/organizations/:organization/members/:login`]: {
    needs: "admin token",
    params: (it) => ({ ...organization(it), ...login(it) }),
  },
  [`GET ${A}/users`]: { needs: "admin token" },
  [`POST ${A}/users`]: { needs: "admin token", body: (it: Target) => ({ login: `${it.fresh}-x` }) },
  [`GET ${A}/users/:login`]: { needs: "admin token", params: login },
  [`PATCH ${A}/users/:login`]: { needs: "admin token", params: login, body: { name: "Somebody" } },
  [`DELETE ${A}/users/:login`]: { needs: "admin token", params: login },
  [`GET ${A}/tokens`]: { needs: "admin token" },
  [`POST ${A}/tokens`]: { needs: "admin token", body: (it: Target) => ({ name: "ci", user: it.fresh }) },
  [`DELETE ${A}/tokens/:id`]: { needs: "admin token", params: (it) => ({ id: `token-of-${it.fresh}` }) },
  [`GET ${A}/leases`]: { needs: "admin token" },
  [`POST ${A}/updates/:updateId/cancel`]: { needs: "admin token" },
  [`GET ${A}/gc-runs`]: { needs: "admin token" },
  [`POST ${A}/gc-runs`]: { needs: "admin token", body: { dryRun: true } },
  [`GET ${A}/audit-events`]: { needs: "admin token" },
};
