/** What artifacts may be called and served as. Nothing here looks into their bytes: a type is never sniffed. */

export const ARTIFACT_KINDS = ["plan", "program", "sbom", "log", "screenshot", "other"] as const;
export type ArtifactKind = (typeof ARTIFACT_KINDS)[number];

/** These may hold secrets: each download is in the audit trail. */
const SENSITIVE: ReadonlySet<string> = new Set<ArtifactKind>(["plan", "program", "log"]);

export const NAME_BYTES_MAX = 512;
export const LABELS_MAX = 50;
export const LABEL_VALUE_CHARS_MAX = 256;
const LABEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,62}$/;
const DEFAULT_TYPE = "application/octet-stream";

/** Types that no browser runs, whatever is in them. */
const SAFE_TYPES: ReadonlySet<string> = new Set([
  ...["text/plain", "text/csv", "text/markdown"],
  ...["application/json", "application/x-ndjson", "application/yaml", "application/toml"],
  ...["application/zip", "application/gzip", "application/zstd", "application/x-tar", "application/x-xz"],
  ...["application/vnd.cyclonedx+json", "application/spdx+json", "application/sarif+json", "application/pdf"],
  ...["image/png", "image/jpeg", "image/gif", "image/webp"],
  DEFAULT_TYPE,
]);
/** Of these, those that a browser may show in place, where it is asked to. */
const INLINE_TYPES: ReadonlySet<string> = new Set([
  ...["text/plain", "application/json", "image/png", "image/jpeg", "image/gif", "image/webp"],
]);
const TYPE_OF_ENDING: Readonly<Record<string, string>> = {
  txt: "text/plain",
  log: "text/plain",
  csv: "text/csv",
  md: "text/markdown",
  json: "application/json",
  ndjson: "application/x-ndjson",
  jsonl: "application/x-ndjson",
  yaml: "application/yaml",
  yml: "application/yaml",
  toml: "application/toml",
  zip: "application/zip",
  gz: "application/gzip",
  tgz: "application/gzip",
  zst: "application/zstd",
  tar: "application/x-tar",
  xz: "application/x-xz",
  pdf: "application/pdf",
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
};

export function isSensitive(kind: string): boolean {
  return SENSITIVE.has(kind);
}

/** Control characters, halves of pairs, and marks that turn the reading direction around. */
const FORBIDDEN = /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\\]/u;

/** A name as it is kept, in NFC; or what is wrong with it. Slashes make folders for whoever downloads. */
export function cleanArtifactName(given: string): { name: string } | { problem: string } {
  const name = given.normalize("NFC");
  if (name === "") return { problem: "it is empty" };
  if (Buffer.byteLength(name) > NAME_BYTES_MAX)
    return { problem: `it is longer than ${NAME_BYTES_MAX} bytes` };
  if (FORBIDDEN.test(name)) return { problem: "it has control characters or backslashes" };
  const segments = name.split("/");
  if (segments.some((it) => it === "" || it === "." || it === ".." || it.trim() !== it)) {
    return { problem: "a part of it is empty, dots, or begins or ends with a blank" };
  }
  return { name };
}

/** What an artifact is served as: what was declared if that is safe, else what its name ends in, else bytes. */
export function safeContentType(declared: string | undefined, name: string): string {
  const essence = (declared ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
  if (essence !== "" && essence !== DEFAULT_TYPE) return SAFE_TYPES.has(essence) ? essence : DEFAULT_TYPE;
  const ending = /\.([A-Za-z0-9]{1,8})$/.exec(name)?.[1]?.toLowerCase() ?? "";
  return Object.hasOwn(TYPE_OF_ENDING, ending) ? (TYPE_OF_ENDING[ending] ?? DEFAULT_TYPE) : DEFAULT_TYPE;
}

export function mayShowInline(contentType: string): boolean {
  return INLINE_TYPES.has(contentType);
}

/** A sentence about the first label that is not allowed; null when all are. */
export function findLabelProblem(labels: Readonly<Record<string, string>>): string | null {
  const entries = Object.entries(labels);
  if (entries.length > LABELS_MAX) return `an artifact has at most ${LABELS_MAX} labels`;
  for (const [name, value] of entries) {
    if (!LABEL_NAME.test(name)) return "a label's name is 1 to 63 of letters, digits and . _ : / -";
    if (value.length > LABEL_VALUE_CHARS_MAX || /[\p{Cc}\p{Cs}]/u.test(value)) {
      return `the value of label ${name} must be one line of at most ${LABEL_VALUE_CHARS_MAX} characters`;
    }
  }
  return null;
}

/** RFC 6266: an ASCII name for old clients, and the real one (RFC 8187). Folders are left out. */
export function contentDisposition(name: string, how: "attachment" | "inline"): string {
  const file = name.slice(name.lastIndexOf("/") + 1);
  const plain = file.replace(/[^\x20-\x7e]|["\\%]/g, "_");
  const encoded = encodeURIComponent(file).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `${how}; filename="${plain}"; filename*=UTF-8''${encoded}`;
}
