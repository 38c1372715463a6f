/** The protocol's calls as the CLI makes them, for tests: raw answers, nothing hidden. */
import { request } from "node:http";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { ADMIN_TOKEN, ORG, type TestServer } from "./server.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  readonly body: any;
}

export interface SendOptions {
  readonly token?: string | null;
  readonly lease?: string;
  readonly gzip?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

export const USER_AGENT = "pulumi-cli/1 (v3.260.0; linux)";

/** `body` undefined sends none; a string or bytes go as they are; anything else as JSON. */
export async function send(
  server: Pick<TestServer, "url">,
  method: string,
  path: string,
  body?: unknown,
  options: SendOptions = {},
): Promise<Answer> {
  const { token = ADMIN_TOKEN, lease, gzip = false } = options;
  const authorization =
    lease !== undefined ? `update-token ${lease}` : token === null ? null : `token ${token}`;
  const raw =
    body === undefined
      ? undefined
      : typeof body === "string" || body instanceof Uint8Array
        ? Buffer.from(body as Uint8Array)
        : Buffer.from(JSON.stringify(body));
  const response = await fetch(`${server.url}${path}`, {
    method,
    ...(raw === undefined ? {} : { body: new Uint8Array(gzip ? gzipSync(raw) : raw) }),
    headers: {
      accept: "application/vnd.pulumi+9",
      "content-type": "application/json",
      "user-agent": USER_AGENT,
      ...(authorization === null ? {} : { authorization }),
      ...(gzip ? { "content-encoding": "gzip" } : {}),
      ...options.headers,
    },
  });
  const text = await response.text();
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined;
  }
  return { status: response.status, headers: response.headers, text, body: parsed };
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** As it came over the wire. */
  readonly bytes: Buffer;
}

/** One request with exactly these headers, and the answer with its body as it was sent: nothing is decompressed. */
export function sendRaw(
  server: Pick<TestServer, "url">,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body?: Uint8Array,
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(server.url);
    const outgoing = request({ hostname, port, method, path, headers, agent: false }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.once("error", reject);
      incoming.once("end", () =>
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          bytes: Buffer.concat(chunks),
        }),
      );
    });
    outgoing.once("error", reject);
    outgoing.end(body);
  });
}

/** Writes bytes to a fresh connection and gives back all that comes until the server closes it. */
export function sendBytes(
  server: Pick<TestServer, "url">,
  text: string | Uint8Array,
  options: { readonly end?: boolean } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(server.url);
    const chunks: Buffer[] = [];
    const socket = connect({ host: hostname, port: Number(port) }, () => {
      socket.write(text);
      if (options.end === true) socket.end();
    });
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    // What came before a reset still counts: a refused body may be cut off.
    socket.once("error", (error) => (chunks.length === 0 ? reject(error) : undefined));
    socket.once("close", () => resolve(Buffer.concat(chunks).toString("latin1")));
  });
}

/** A stack and the calls on it. */
export class StackClient {
  readonly server: Pick<TestServer, "url">;
  readonly path: string;
  readonly org: string;
  readonly project: string;
  readonly stack: string;
  readonly options: SendOptions;

  constructor(
    server: Pick<TestServer, "url">,
    project: string,
    stack: string,
    options: SendOptions = {},
    org = ORG,
  ) {
    this.server = server;
    this.org = org;
    this.project = project;
    this.stack = stack;
    this.path = `/api/stacks/${org}/${project}/${stack}`;
    this.options = options;
  }

  send(method: string, path: string, body?: unknown, options: SendOptions = {}): Promise<Answer> {
    return send(this.server, method, `${this.path}${path}`, body, { ...this.options, ...options });
  }

  async init(extra: Record<string, unknown> = {}): Promise<this> {
    const answer = await send(
      this.server,
      "POST",
      `/api/stacks/${this.org}/${this.project}`,
      { stackName: this.stack, ...extra },
      this.options,
    );
    if (answer.status !== 200) throw new Error(`stack init: ${answer.status} ${answer.text}`);
    return this;
  }

  async create(kind = "update", dryRun = false): Promise<string> {
    const body = { options: { dryRun }, config: {}, metadata: { message: "a message", environment: {} } };
    const answer = await this.send("POST", `/${kind}`, body);
    if (answer.status !== 200) throw new Error(`create: ${answer.status} ${answer.text}`);
    return answer.body.updateID as string;
  }

  /** Creates and starts; throws unless granted. */
  async begin(kind = "update", options: { dryRun?: boolean; journal?: boolean } = {}): Promise<UpdateClient> {
    const id = await this.create(kind, options.dryRun ?? false);
    const answer = await this.start(id, options.journal ?? true);
    if (answer.status !== 200) throw new Error(`start: ${answer.status} ${answer.text}`);
    return new UpdateClient(this, id, answer.body.token as string, answer.body.version as number);
  }

  start(updateId: string, journal = true): Promise<Answer> {
    return this.send("POST", `/update/${updateId}`, journal ? { journalVersion: 1 } : {});
  }

  /** The same stack as somebody else sees it. */
  as(options: SendOptions): StackClient {
    return new StackClient(this.server, this.project, this.stack, options, this.org);
  }

  /** Imports a document; throws unless it was taken. */
  async import(document: unknown): Promise<string> {
    const answer = await this.send("POST", "/import", document, { gzip: true });
    if (answer.status !== 200) throw new Error(`import: ${answer.status} ${answer.text}`);
    return answer.body.updateId as string;
  }

  /** History entries, newest first. */
  async history(): Promise<Answer["body"][]> {
    const answer = await this.send("GET", "/updates?pageSize=100&page=1");
    if (answer.status !== 200) throw new Error(`history: ${answer.status} ${answer.text}`);
    return answer.body.updates;
  }

  async deployment(version?: number): Promise<Answer["body"]> {
    const answer = await this.send("GET", version === undefined ? "/export" : `/export/${version}`);
    if (answer.status !== 200) throw new Error(`export: ${answer.status} ${answer.text}`);
    return answer.body;
  }
}

/** A running update. */
export class UpdateClient {
  readonly stack: StackClient;
  readonly id: string;
  readonly token: string;
  readonly version: number;

  constructor(stack: StackClient, id: string, token: string, version: number) {
    this.stack = stack;
    this.id = id;
    this.token = token;
    this.version = version;
  }

  send(method: string, path: string, body?: unknown, options: SendOptions = {}): Promise<Answer> {
    return this.stack.send(method, `/update/${this.id}${path}`, body, {
      lease: this.token,
      gzip: true,
      ...options,
    });
  }

  journal(entries: readonly unknown[]): Promise<Answer> {
    return this.send("PATCH", "/journalentries", { entries });
  }

  checkpoint(deployment: unknown, version = 3): Promise<Answer> {
    return this.send("PATCH", "/checkpoint", { isInvalid: false, version, deployment });
  }

  events(events: readonly unknown[]): Promise<Answer> {
    return this.send("POST", "/events/batch", { events });
  }

  renew(duration = 300): Promise<Answer> {
    return this.send("POST", "/renew_lease", { token: "", duration }, { gzip: false });
  }

  /** As somebody with an API token does. */
  cancel(): Promise<Answer> {
    return this.stack.send("POST", `/update/${this.id}/cancel`);
  }

  complete(status = "succeeded"): Promise<Answer> {
    return this.send("POST", "/complete", { status }, { gzip: false });
  }
}
