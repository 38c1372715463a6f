/** An `up` as bytes, made before the clock starts: the CLI's own work is not what is measured. */
import { gzipSync } from "node:zlib";
import { ORG } from "./child.ts";
import type { RequestBody } from "./connection.ts";
import { eventBatch, summaryBatch } from "./events.ts";
import { PROJECT } from "./resources.ts";
import { CLI_VERSION, journalBatches, journalOf, type UpKind, verbatimBodies } from "./saves.ts";

/** One call with the lease token. */
export interface Save {
  readonly method: "PATCH" | "POST";
  /** What follows the update's path. */
  readonly action: string;
  readonly body: RequestBody;
}

export interface UpScript {
  readonly stack: string;
  readonly create: RequestBody;
  readonly start: RequestBody;
  readonly saves: readonly Save[];
  readonly complete: RequestBody;
}

export interface ScriptOptions {
  /** One name each, or two runs would meet on one stack. */
  readonly stack: string;
  readonly count: number;
  readonly how: "journal" | "verbatim";
  readonly kind: UpKind;
  /** Entries in a journal batch. */
  readonly batchSize: number;
  /** Resources for each batch of events. */
  readonly eventsEvery: number;
}

export function stackPathOf(stack: string): string {
  return `/api/stacks/${ORG}/${PROJECT}/${stack}`;
}

function plain(value: unknown): RequestBody {
  return { bytes: Buffer.from(JSON.stringify(value)), isGzip: false };
}

function gzipped(value: unknown): RequestBody {
  return { bytes: gzipSync(JSON.stringify(value)), isGzip: true };
}

export function stackBody(stack: string): RequestBody {
  return plain({ stackName: stack, tags: {} });
}

const CREATE = plain({
  name: PROJECT,
  runtime: "nodejs",
  main: "",
  description: "a program",
  options: { localPolicyPackPaths: [], color: "raw", dryRun: false, parallel: 8, showConfig: false },
  config: { "bench:region": { string: "eu-central-1", secret: false, object: false } },
  metadata: {
    message: "a bench",
    environment: { "exec.kind": "cli", "pulumi.os": "linux", "pulumi.version": CLI_VERSION },
  },
});

export function scriptOf(options: ScriptOptions): UpScript {
  const { stack } = options;
  const tags = { "pulumi:project": PROJECT, "pulumi:runtime": "nodejs", "pulumi:stack": stack };
  return {
    stack,
    create: CREATE,
    start: plain(options.how === "journal" ? { tags, journalVersion: 1 } : { tags }),
    saves: withEvents(stateSaves(options), options),
    complete: plain({ status: "succeeded" }),
  };
}

function stateSaves({ stack, count, how, kind, batchSize }: ScriptOptions): Save[] {
  const action = how === "journal" ? "journalentries" : "checkpointverbatim";
  const bodies =
    how === "journal"
      ? journalBatches(journalOf(stack, count, kind), batchSize)
      : verbatimBodies(stack, count);
  return Array.from(bodies, (body) => ({ method: "PATCH", action, body: gzipped(body) }));
}

/** Events spread evenly between the saves, and the rest of them at the end. */
function withEvents(saves: readonly Save[], { stack, count, eventsEvery }: ScriptOptions): Save[] {
  const post = (body: unknown): Save => ({ method: "POST", action: "events/batch", body: gzipped(body) });
  const batches = Math.floor(count / eventsEvery);
  const mixed: Save[] = [];
  let posted = 0;
  for (const [index, save] of saves.entries()) {
    mixed.push(save);
    if (posted < batches && index + 1 >= ((posted + 1) * saves.length) / (batches + 1)) {
      mixed.push(post(eventBatch(stack, posted)));
      posted += 1;
    }
  }
  return [...mixed, post(summaryBatch(posted, count))];
}
