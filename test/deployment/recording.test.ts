import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { readDocumentBytes } from "../../server/deployment/document.ts";
import { parseJournalBatch } from "../../server/deployment/journal.ts";
import { bytes } from "./support.ts";

interface Recorded {
  readonly method?: string;
  readonly path?: string;
  readonly req?: { readonly entries?: readonly unknown[] };
}

const file = new URL("../fixtures/pulumi-recording.jsonl.gz", import.meta.url);
const lines = gunzipSync(readFileSync(file)).toString("utf8").trim().split("\n");
const requests = lines.map((line) => JSON.parse(line) as Recorded);

function bodiesOf(ending: string): Recorded["req"][] {
  return requests
    .filter(({ method, path }) => method === "PATCH" && path?.endsWith(ending) === true)
    .map(({ req }) => req);
}

/** The recording leaves some long bodies out. */
function isWhole(body: Recorded["req"]): boolean {
  return Array.isArray(body?.entries) && body.entries.every((one) => typeof one === "object");
}

describe("what the real CLI sent", () => {
  it("is accepted: every journal batch", () => {
    const bodies = bodiesOf("/journalentries").filter(isWhole);
    expect(bodies.length).toBeGreaterThan(200);
    for (const body of bodies) {
      expect(parseJournalBatch(bytes(body))).toHaveLength(body?.entries?.length ?? 0);
    }
  });

  it("is accepted and sound: every plain checkpoint", async () => {
    const bodies = bodiesOf("/checkpoint");
    expect(bodies.length).toBeGreaterThan(0);
    for (const body of bodies) {
      const { result } = await readDocumentBytes("checkpoint", bytes(body));
      expect(result).toMatchObject({ hasDeployment: true, summary: { problems: [] } });
    }
  });
});
