/** A command line whose every connection with the world is in the test's hands. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import type { CommandLineDeps } from "../../server/cli/deps.ts";
import { runCommandLine } from "../../server/cli/index.ts";
import type { Config } from "../../server/config/schema.ts";
import type { DoctorProbes } from "../../server/doctor/probes.ts";

export const ADMIN_TOKEN = "an-admin-token-of-ours";

export function tempDir(): string {
  const folder = mkdtempSync(join(tmpdir(), "statehouse-command-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A data folder as a server that ran once leaves it. */
export function usedDataDir(): string {
  const folder = tempDir();
  writeFileSync(join(folder, "statehouse.db"), "");
  writeFileSync(join(folder, "admin.token"), `${ADMIN_TOKEN}\n`, { mode: 0o600 });
  return folder;
}

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: unknown;
}

export interface Reply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A string goes as it is, anything else as JSON. */
  readonly body?: unknown;
}

export interface FakeServer {
  readonly url: string;
  readonly port: number;
  /** Requests to the admin API, in order. */
  readonly requests: readonly Request[];
}

type Replies = Readonly<Record<string, Reply | ((request: Request) => Reply)>>;

/** Answers `"GET /path"` as told and the health paths with 200; everything else is a 404 of the admin API. */
export async function startFakeServer(replies: Replies = {}): Promise<FakeServer> {
  const requests: Request[] = [];
  const answer = async (req: IncomingMessage, res: ServerResponse) => {
    const request = await readRequest(req);
    if (request.path.startsWith("/api/")) requests.push(request);
    const key = `${request.method} ${request.path.replace("/api/admin/v1", "")}`;
    const found = replies[key] ?? (request.path.startsWith("/api/") ? NOT_FOUND : { body: "ok" });
    const { status = 200, headers = {}, body } = typeof found === "function" ? found(request) : found;
    res.writeHead(status, { "content-type": "application/json", ...headers });
    res.end(typeof body === "string" || body === undefined ? body : JSON.stringify(body));
  };
  const server = createServer((req, res) => void answer(req, res));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, requests };
}

export const NOT_FOUND: Reply = { status: 404, body: { code: "NOT_FOUND", message: "Not found" } };

/** A port where nothing listens. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What the injected functions were called with. */
  readonly served: readonly Config[];
}

/** Runs one command line; nothing of the real environment or folder gets in. */
export async function run(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
  overrides: Partial<CommandLineDeps> = {},
): Promise<Outcome> {
  const out: string[] = [];
  const err: string[] = [];
  const served: Config[] = [];
  const code = await runCommandLine(argv, {
    env,
    cwd: tempDir(),
    version: "1.2.3",
    stdout: { write: (chunk) => out.push(chunk) },
    stderr: { write: (chunk) => err.push(chunk) },
    serve: async (config) => void served.push(config),
    migrate: async () => "The schema is current.",
    withLocalServer: () => Promise.reject(new Error("a local server was not expected")),
    transfer: () => Promise.reject(new Error("a transfer was not expected")),
    reopenSource: () => Promise.reject(new Error("a reopening was not expected")),
    findOwner: async () => null,
    doctorProbes: (): DoctorProbes => {
      throw new Error("the doctor was not expected");
    },
    ...overrides,
  });
  return { code, stdout: out.join(""), stderr: err.join(""), served };
}

async function readRequest(req: IncomingMessage): Promise<Request> {
  const body = await text(req);
  return {
    method: req.method ?? "",
    path: req.url ?? "",
    authorization: req.headers.authorization,
    body: body === "" ? undefined : JSON.parse(body),
  };
}
