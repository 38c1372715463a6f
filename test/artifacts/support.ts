/** A server over either file store, and the artifact API as clients call it. */
import { createHash, randomBytes } from "node:crypto";
import { request } from "node:http";
import { afterAll, beforeAll } from "vitest";
import { type Answer, send } from "../support/client.ts";
import { newPrefix, startS3, type TestS3 } from "../support/s3.ts";
import { ADMIN_TOKEN, ORG, startTestServer, type TestServer } from "../support/server.ts";

export const COMMIT = "0123abc0123abc0123abc0123abc0123abc01234";
export const API = `/api/artifacts/${ORG}`;

export interface Store {
  readonly label: "local disk" | "S3";
  /** What a server needs to use it; a place of its own each time. */
  readonly env: () => Record<string, string>;
}

/** Both file stores; the S3 server lives as long as the file. */
export function fileStores(): readonly Store[] {
  let s3: TestS3 | null = null;
  const before: Record<string, string | undefined> = {};
  beforeAll(async () => {
    s3 = await startS3();
    for (const name of ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]) {
      before[name] = process.env[name];
      process.env[name] = s3.env[name];
    }
  });
  afterAll(async () => {
    Object.assign(process.env, before);
    await s3?.stop();
  });
  return [
    { label: "local disk", env: () => ({}) },
    {
      label: "S3",
      env: () => {
        const { options } = s3 as TestS3;
        return {
          STATEHOUSE_FILES: "s3",
          STATEHOUSE_S3_BUCKET: options.bucket,
          STATEHOUSE_S3_ENDPOINT: options.endpoint,
          STATEHOUSE_S3_REGION: options.region,
          STATEHOUSE_S3_FORCE_PATH_STYLE: "true",
          STATEHOUSE_S3_PREFIX: newPrefix(),
        };
      },
    },
  ];
}

export async function startOver(
  store: Store,
  env: Readonly<Record<string, string>> = {},
  nowMs?: () => number,
): Promise<TestServer> {
  return startTestServer({ env: { ...store.env(), ...env }, ...(nowMs === undefined ? {} : { nowMs }) });
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

export function base64Of(algorithm: "sha256" | "md5", bytes: Uint8Array): string {
  return createHash(algorithm).update(bytes).digest("base64");
}

export interface PutOptions {
  readonly token?: string | null;
  readonly query?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One file as the body, bound to a commit unless the query says more. */
export function put(
  server: TestServer,
  name: string,
  bytes: Uint8Array,
  { token = ADMIN_TOKEN, query = `commit=${COMMIT}`, headers = {} }: PutOptions = {},
): Promise<Answer> {
  const path = `${API}?${query}&name=${encodeURIComponent(name)}`;
  return send(server, "PUT", path, bytes.length === 0 ? new Uint8Array(0) : bytes, {
    token,
    headers: { "content-type": "application/octet-stream", ...headers },
  });
}

export async function stored(server: TestServer, name: string, bytes: Uint8Array, options: PutOptions = {}) {
  const answer = await put(server, name, bytes, options);
  if (answer.status !== 201) throw new Error(`put: ${answer.status} ${answer.text}`);
  return answer.body;
}

export async function get(
  server: TestServer,
  id: string,
  headers: Readonly<Record<string, string>> = {},
  token = ADMIN_TOKEN,
): Promise<{ status: number; headers: Headers; bytes: Buffer }> {
  const response = await fetch(`${server.url}${API}/items/${id}/content`, {
    headers: { authorization: `token ${token}`, ...headers },
  });
  return {
    status: response.status,
    headers: response.headers,
    bytes: Buffer.from(await response.arrayBuffer()),
  };
}

export async function list(server: TestServer, query = ""): Promise<Answer["body"][]> {
  return (await send(server, "GET", `${API}${query}`)).body.items;
}

/** Everything of artifacts in the file store. */
export async function blobKeys(server: TestServer): Promise<string[]> {
  const keys: string[] = [];
  for await (const blob of server.ctx.blobs.list("artifacts/")) keys.push(blob.key);
  return keys.sort();
}

/** A form with these files; a field before a file is its checksum. */
export async function postForm(
  server: TestServer,
  files: readonly { name: string; bytes: Uint8Array; sha256?: string; type?: string }[],
  options: { query?: string; token?: string } = {},
): Promise<Answer> {
  const form = new FormData();
  for (const file of files) {
    if (file.sha256 !== undefined) form.append("sha256", file.sha256);
    const type = file.type ?? "application/octet-stream";
    form.append("file", new Blob([new Uint8Array(file.bytes)], { type }), file.name);
  }
  const response = await fetch(`${server.url}${API}?${options.query ?? `commit=${COMMIT}`}`, {
    method: "POST",
    body: form,
    headers: { authorization: `token ${options.token ?? ADMIN_TOKEN}` },
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: JSON.parse(text) };
}

/** Sends the first `sentBytes` of what was announced, then cuts the connection. */
export function cutOff(
  server: TestServer,
  {
    path,
    body,
    sentBytes,
    headers = {},
  }: { path: string; body: Buffer; sentBytes: number; headers?: object },
): Promise<void> {
  return new Promise((resolve) => {
    const { hostname, port } = new URL(server.url);
    const outgoing = request({
      ...{ hostname, port, method: path.includes("name=") ? "PUT" : "POST", path, agent: false },
      headers: { authorization: `token ${ADMIN_TOKEN}`, "content-length": body.length, ...headers },
    });
    outgoing.once("error", () => undefined);
    outgoing.once("close", () => resolve());
    outgoing.write(body.subarray(0, sentBytes), () => setTimeout(() => outgoing.destroy(), 20));
  });
}

/** A machine token of ours. */
export async function machine(server: TestServer, body: Readonly<Record<string, unknown>>): Promise<string> {
  const answer = await send(server, "POST", "/api/admin/v1/tokens", {
    name: "ci",
    organization: ORG,
    ...body,
  });
  if (answer.status !== 201) throw new Error(answer.text);
  return answer.body.token;
}

export const random = (bytes: number): Buffer => randomBytes(bytes);
