/** The side that is read: a running server's admin API, also where that server runs for the transfer alone. */
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { z } from "zod";
import type { BulkRow, ServingState } from "../../db-adapters/contract.ts";
import { readRow, spellRow } from "../rules/bulk-rows.ts";
import { TransferError } from "./errors.ts";

const REQUEST_MS_MAX = 60_000;
const BLOB_MS_MAX = 3_600_000;
/** A lock that is waited for, a replica that restarts. */
const ATTEMPTS_MAX = 5;
const RETRY_MS = 1_000;

const Serving = z.object({ mode: z.enum(["open", "draining", "read_only", "moved"]), message: z.string() });
const Overview = z.object({
  tables: z.array(z.object({ name: z.string(), columns: z.array(z.string()), key: z.array(z.string()) })),
  counters: z.record(z.string(), z.number()),
  sequences: z.record(z.string(), z.number()),
  rows: z.record(z.string(), z.number()),
  serving: Serving,
  carriedKeys: z.string().nullable().default(null),
});
const Page = z.object({
  count: z.number(),
  digest: z.string(),
  last: z.array(z.unknown()).nullable(),
  rows: z.array(z.unknown()),
});
const Blob = z.object({ key: z.string(), sizeBytes: z.number() });
const Closing = z.object({ kind: z.enum(["set", "updates_running"]), count: z.number().optional() });

export type SourceOverview = z.output<typeof Overview>;
export interface SourcePage {
  readonly count: number;
  readonly digest: string;
  readonly last: BulkRow | null;
  readonly rows: readonly BulkRow[];
}

export interface PageOf {
  readonly table: string;
  readonly after: BulkRow | null;
  readonly through: BulkRow | null;
}

export class Source {
  readonly #baseUrl: string;
  readonly #token: string;

  constructor(baseUrl: string, token: string) {
    this.#baseUrl = baseUrl.replace(/\/+$/, "");
    this.#token = token;
  }

  async overview(): Promise<SourceOverview> {
    return Overview.parse(await this.#json("GET", ""));
  }

  async page(page: PageOf, digestOnly: boolean): Promise<SourcePage> {
    const body = {
      table: page.table,
      after: page.after && spellRow(page.after),
      through: page.through && spellRow(page.through),
      digestOnly,
    };
    const { count, digest, last, rows } = Page.parse(await this.#json("POST", "/rows", body));
    return { count, digest, last: last && readRow(last), rows: rows.map(readRow) };
  }

  async *blobs(): AsyncGenerator<z.output<typeof Blob>> {
    const response = await this.#fetch("GET", "/blobs", undefined, BLOB_MS_MAX);
    if (response.body === null) return;
    const lines = createInterface({ input: Readable.fromWeb(response.body) });
    for await (const line of lines) yield Blob.parse(JSON.parse(line));
  }

  /** Null for one that went since it was listed. */
  async openBlob(key: string): Promise<AsyncIterable<Uint8Array> | null> {
    const response = await this.#fetch("GET", `/blob?key=${encodeURIComponent(key)}`, undefined, BLOB_MS_MAX);
    if (response.status === 404) return null;
    return response.body === null ? emptyBody() : Readable.fromWeb(response.body);
  }

  /** How many updates run: 0 when the state was set. */
  async setServing(state: ServingState): Promise<number> {
    const answer = Closing.parse(await this.#json("PUT", "/serving", state));
    return answer.kind === "set" ? 0 : (answer.count ?? 1);
  }

  async #json(method: string, path: string, body?: object): Promise<unknown> {
    const response = await this.#fetch(method, path, body, REQUEST_MS_MAX);
    return response.json();
  }

  /** All of it may be repeated: reads, and a switch that is set to what it is. */
  async #fetch(method: string, path: string, body: object | undefined, timeoutMs: number): Promise<Response> {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await this.#try(method, path, body, timeoutMs);
      if (answer instanceof Response && (answer.ok || (answer.status === 404 && path.startsWith("/blob?"))))
        return answer;
      const status = answer instanceof Response ? answer.status : 503;
      if (status < 500 || attempt === ATTEMPTS_MAX) throw await refusal(answer);
      if (answer instanceof Response) await answer.body?.cancel();
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  async #try(method: string, path: string, body: object | undefined, timeoutMs: number) {
    try {
      return await fetch(`${this.#baseUrl}/api/admin/v1/transfer${path}`, {
        method,
        headers: {
          authorization: `token ${this.#token}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        redirect: "manual",
        signal: AbortSignal.timeout(timeoutMs),
      });
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {}

async function refusal(answer: Response | Error): Promise<TransferError> {
  if (answer instanceof Error) {
    const cause = answer.cause instanceof Error ? answer.cause.message : answer.message;
    return new TransferError("source_gone", `The source does not answer (${cause}).`, { cause: answer });
  }
  if (answer.status === 404)
    return new TransferError(
      "source_refused",
      "The source is of another release: bring both to the same one.",
    );
  const text = (await answer.text()).slice(0, 300);
  const words =
    answer.status === 401 || answer.status === 403 ? "does not accept the admin token" : "refused";
  return new TransferError("source_refused", `The source ${words} (${answer.status}: ${text}).`);
}
