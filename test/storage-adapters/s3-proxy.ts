/** Stands between a store and its S3 server and does what networks and services do. */
import { once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

export type Verdict =
  | "pass"
  /** Takes the request and never answers. */
  | "hold"
  /** Lets the first bytes of the answer through, then breaks the connection. */
  | "cut"
  /** Answers in the server's place. */
  | { readonly status: number; readonly code: string };

export interface ProxyOptions {
  /** Of the real server. */
  readonly endpoint: string;
  readonly tls?: { readonly key: string; readonly cert: string };
  judge?(seen: SeenRequest): Verdict;
}

export interface Proxy {
  readonly endpoint: string;
  readonly seen: readonly SeenRequest[];
}

const CUT_AFTER_BYTES = 100_000;

/** Ends with the test. */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const seen: SeenRequest[] = [];
  const handle = (req: IncomingMessage, res: ServerResponse) => {
    const { method = "", url = "", headers } = req;
    seen.push({ method, url, headers });
    const verdict = options.judge?.({ method, url, headers }) ?? "pass";
    if (verdict === "hold") req.resume();
    else if (typeof verdict === "object") answer(req, res, verdict);
    else forward(req, res, options.endpoint, verdict === "cut");
  };
  const { tls } = options;
  const server = tls === undefined ? createServer(handle) : createTlsServer(tls, handle);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { endpoint: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}`, seen };
}

/** The Host header stays the proxy's: it is signed. */
function forward(req: IncomingMessage, res: ServerResponse, endpoint: string, isCut: boolean): void {
  const onward = request(new URL(req.url ?? "/", endpoint), {
    method: req.method ?? "GET",
    headers: req.headers,
  });
  onward.on("error", () => res.destroy());
  onward.on("response", (answered) => {
    res.writeHead(answered.statusCode ?? 500, answered.headers);
    if (!isCut) {
      answered.pipe(res);
      return;
    }
    let sentBytes = 0;
    answered.on("data", (chunk: Buffer) => {
      if (sentBytes > CUT_AFTER_BYTES) return;
      res.write(chunk);
      sentBytes += chunk.length;
      if (sentBytes > CUT_AFTER_BYTES) setTimeout(() => res.destroy(), 50);
    });
  });
  req.pipe(onward);
}

function answer(
  req: IncomingMessage,
  res: ServerResponse,
  { status, code }: { status: number; code: string },
): void {
  req.resume().on("end", () => {
    res.writeHead(status, { "content-type": "application/xml" });
    res.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>as the test asked</Message></Error>`);
  });
}
