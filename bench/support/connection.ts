/**
 * A minimal HTTP/1.1 client: one keep-alive connection, one request at a time. Written by hand because the
 * client's own cost is part of every figure: this one takes less than `node:http` with an agent or `fetch`.
 */
import { connect, type Socket } from "node:net";

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

export interface RequestBody {
  readonly bytes: Uint8Array;
  readonly isGzip: boolean;
}

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

const HEAD_END = Buffer.from("\r\n\r\n");
/** Of every request of the CLI 3.260. */
const COMMON_HEADERS =
  "Host: 127.0.0.1\r\nUser-Agent: pulumi-cli/1 (v3.260.0; linux; cmd=up)\r\n" +
  "Accept: application/vnd.pulumi+9\r\nAccept-Encoding: gzip\r\nContent-Type: application/json\r\n";

export class Connection {
  readonly #socket: Socket;
  #received: Buffer[] = [];
  #receivedBytes = 0;
  /** Bytes of the answer under way, head included; null until its head was read. */
  #expectedBytes: number | null = null;
  #bodyStart = 0;
  #status = 0;
  #waiting: Waiting | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => this.#onData(chunk));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("the server closed the connection")));
  }

  static open(port: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new Connection(socket));
      });
    });
  }

  /** `authorization` is the whole value of the header. */
  send(method: string, path: string, authorization: string, body: RequestBody | null): Promise<Answer> {
    if (this.#waiting !== null) throw new Error("one request at a time");
    const length =
      body === null
        ? ""
        : `${body.isGzip ? "Content-Encoding: gzip\r\n" : ""}Content-Length: ${body.bytes.byteLength}\r\n`;
    const head = `${method} ${path} HTTP/1.1\r\n${COMMON_HEADERS}Authorization: ${authorization}\r\n${length}\r\n`;
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    if (body === null) this.#socket.write(head, "latin1");
    else this.#socket.write(Buffer.concat([Buffer.from(head, "latin1"), body.bytes]));
    return answer;
  }

  close(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.destroy();
  }

  #onData(chunk: Buffer): void {
    this.#received.push(chunk);
    this.#receivedBytes += chunk.byteLength;
    if (this.#expectedBytes === null) this.#readHead();
    if (this.#expectedBytes === null || this.#receivedBytes < this.#expectedBytes) return;
    const whole = this.#whole();
    const answer = { status: this.#status, body: whole.subarray(this.#bodyStart, this.#expectedBytes) };
    const waiting = this.#waiting;
    this.#waiting = null;
    this.#received = [];
    this.#receivedBytes = 0;
    this.#expectedBytes = null;
    waiting?.resolve(answer);
  }

  #whole(): Buffer {
    const [only] = this.#received;
    if (only !== undefined && this.#received.length === 1) return only;
    const whole = Buffer.concat(this.#received);
    this.#received = [whole];
    return whole;
  }

  #readHead(): void {
    const bytes = this.#whole();
    const headBytes = bytes.indexOf(HEAD_END);
    if (headBytes < 0) return;
    const head = bytes.toString("latin1", 0, headBytes);
    this.#status = Number(head.slice(9, 12));
    this.#bodyStart = headBytes + HEAD_END.length;
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    if (length === undefined && this.#status !== 204) {
      this.#fail(new Error(`an answer without content-length, which this client doesn't read: ${head}`));
      return;
    }
    this.#expectedBytes = this.#bodyStart + Number(length ?? 0);
  }

  #fail(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.reject(error);
  }
}
