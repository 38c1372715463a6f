/** The recorded session of the real CLI 3.260 (section 10.0 of the protocol reference). */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

export interface RecordedRequest {
  readonly step: string;
  readonly id: number;
  readonly method: string;
  readonly path: string;
  readonly auth: "token" | "update-token";
  readonly hdr: Readonly<Record<string, string>>;
  readonly ua: string;
  readonly req?: unknown;
  readonly status: number;
  readonly res?: unknown;
}

type Line = { readonly step: string } | Omit<RecordedRequest, "step">;

/** Every request in order of arrival, with the scenario that it belongs to. */
export function readRecording(): readonly RecordedRequest[] {
  const file = new URL("../fixtures/pulumi-recording.jsonl.gz", import.meta.url);
  const lines = gunzipSync(readFileSync(file)).toString("utf8").trim().split("\n");
  const requests: RecordedRequest[] = [];
  let step = "";
  for (const line of lines.map((text) => JSON.parse(text) as Line)) {
    if (!("method" in line)) step = line.step;
    else requests.push({ ...line, step });
  }
  return requests;
}

/** The recording leaves long bodies out, or says only how many elements a list had. */
export function isOmitted(body: unknown): boolean {
  if (typeof body !== "object" || body === null) return false;
  return "omitted" in body;
}
