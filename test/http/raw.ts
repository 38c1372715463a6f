/** Bytes on a socket, for clients that no HTTP library would make. */
import { connect, type Socket } from "node:net";

export class RawClient {
  readonly #socket: Socket;
  #received = "";
  /** Resolves when the other side has closed, with how long that took. */
  readonly closed: Promise<number>;

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    const startedMs = performance.now();
    this.#socket = connect(Number(port), hostname);
    this.#socket.setNoDelay(true);
    this.#socket.on("data", (bytes) => {
      this.#received += bytes.toString("latin1");
    });
    this.#socket.on("error", () => undefined); // a reset is a close, too
    this.closed = new Promise((resolve) => {
      this.#socket.once("close", () => resolve(performance.now() - startedMs));
    });
  }

  write(text: string): this {
    this.#socket.write(text);
    return this;
  }

  /** One byte at a time, as slowly as `everyMs` says, until the connection is closed. */
  drip(text: string, everyMs: number): this {
    let at = 0;
    const timer = setInterval(() => {
      if (this.#socket.destroyed) clearInterval(timer);
      else this.#socket.write(text[at++ % text.length] ?? "a");
    }, everyMs);
    this.#socket.once("close", () => clearInterval(timer));
    return this;
  }

  get received(): string {
    return this.#received;
  }

  /** Of the first answer. */
  get status(): number {
    return Number(/^HTTP\/1\.1 (\d+)/.exec(this.#received)?.[1]);
  }

  get body(): unknown {
    return JSON.parse(this.#received.slice(this.#received.indexOf("\r\n\r\n") + 4));
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
