/**
 * A load balancer as simple as they come: each request goes to the next replica that takes connections. One that
 * refuses is passed over; when it breaks with a request in hand, the client's connection breaks, too, because
 * nobody can know whether the request was carried out.
 */
import {
  Agent,
  createServer,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

export interface Backend {
  /** "" while it is down. */
  readonly url: string;
}

export interface Passed {
  readonly method: string;
  readonly path: string;
  /** Index of the replica that answered. */
  readonly backend: number;
  readonly status: number;
}

/** Says that no replica took the request, so that it has no effect for sure. */
export const NOBODY_THERE = "x-nobody-there";

export class RoundRobin {
  /** In the order of the answers. */
  readonly passed: Passed[] = [];
  readonly #backends: readonly Backend[];
  readonly #server: Server;
  readonly #agent = new Agent({ keepAlive: true });
  #next = 0;

  private constructor(backends: readonly Backend[]) {
    this.#backends = backends;
    this.#server = createServer((req, res) => void this.#handle(req, res));
  }

  static async start(backends: readonly Backend[]): Promise<RoundRobin> {
    const proxy = new RoundRobin(backends);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    this.#agent.destroy();
    await closed;
  }

  async #handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const body = await buffer(req).catch(() => null);
    if (body === null) return;
    for (let tried = 0; tried < this.#backends.length; tried++) {
      const backend = this.#next++ % this.#backends.length;
      const outcome = await this.#pass(backend, req, res, body);
      if (outcome === "answered") return;
      if (outcome === "broken") {
        res.destroy();
        return;
      }
    }
    res.writeHead(503, { [NOBODY_THERE]: "1", "retry-after": "1" }).end();
  }

  #pass(
    backend: number,
    { method = "", url: path = "", headers }: IncomingMessage,
    res: ServerResponse,
    body: Buffer,
  ): Promise<"answered" | "broken" | "refused"> {
    const { url = "" } = this.#backends[backend] ?? {};
    if (url === "") return Promise.resolve("refused");
    return new Promise((resolve) => {
      const onward = request(new URL(path, url), { method, headers, agent: this.#agent });
      onward.once("error", (error) => {
        resolve("code" in error && error.code === "ECONNREFUSED" ? "refused" : "broken");
      });
      onward.once("response", (answer) => {
        const status = answer.statusCode ?? 502;
        res.writeHead(status, answer.headers);
        answer.pipe(res);
        answer.once("end", () => {
          this.passed.push({ method, path, backend, status });
          resolve("answered");
        });
        answer.once("close", () => resolve("broken")); // too late to matter after the end
      });
      onward.end(body);
    });
  }
}
