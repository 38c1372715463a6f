/** The 614 journals of the real engine (docs: section 10.0 of the protocol notes). */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

export interface GoldenDeployment {
  manifest?: unknown;
  resources?: { urn: string }[];
  pending_operations?: unknown[];
}

export interface Golden {
  readonly name: string;
  readonly base: GoldenDeployment;
  readonly entries: { sequenceID: number; kind: number }[];
  readonly expected: {
    readonly at: number;
    readonly version: number;
    readonly features?: string[];
    readonly deployment: GoldenDeployment;
  }[];
}

export function readGoldens(): readonly Golden[] {
  const file = new URL("../fixtures/journal-goldens.jsonl.gz", import.meta.url);
  const lines = gunzipSync(readFileSync(file)).toString("utf8").trim().split("\n");
  return lines.map((line) => JSON.parse(line) as Golden);
}
