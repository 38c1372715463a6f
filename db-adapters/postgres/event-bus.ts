/**
 * Events over LISTEN and NOTIFY. The listening connection is there only while somebody subscribes; when it is
 * lost it is made again, and every subscriber is told that it may have missed something.
 */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { EventBus } from "../contract.ts";
import { checkPayload, Listeners } from "../in-process-bus.ts";
import { type Client, type ClientConfig, connect, end } from "./connection.ts";
import { unavailable } from "./errors.ts";
import type { Sql } from "./sql.ts";

const RECONNECT_MIN_MS = 100;
const RECONNECT_MAX_MS = 5_000;

/** A channel is an identifier of 63 bytes at most; topics are longer and hold anything. */
function channelOf(topic: string): string {
  return `statehouse_${createHash("sha256").update(topic).digest("hex").slice(0, 32)}`;
}

export class NotifyBus implements EventBus {
  readonly #sql: Sql;
  readonly #config: ClientConfig;
  readonly #listeners = new Listeners();
  readonly #topics = new Map<string, string>();
  #client: Client | null = null;
  #isClosed = false;
  /** Changes to the connection, one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(sql: Sql, config: ClientConfig) {
    this.#sql = sql;
    this.#config = config;
  }

  async publish(topic: string, payload: string): Promise<void> {
    checkPayload(payload);
    await this.#sql.changeOnce("select pg_notify($1, $2)", channelOf(topic), payload);
  }

  async subscribe(topic: string, onEvent: (payload: string | null) => void): Promise<() => Promise<void>> {
    const remove = this.#listeners.add(topic, onEvent);
    this.#topics.set(channelOf(topic), topic);
    try {
      await this.#inTurn(() => this.#listen(topic));
    } catch (error) {
      remove();
      throw unavailable(error);
    }
    return async () => {
      if (remove()) await this.#inTurn(() => this.#unlisten(topic)).catch(() => undefined);
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#inTurn(() => this.#disconnect()).catch(() => undefined);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #listen(topic: string): Promise<void> {
    this.#client ??= await this.#connected();
    await this.#client.query(`listen ${channelOf(topic)}`); // again is nothing
  }

  async #unlisten(topic: string): Promise<void> {
    const { topics } = this.#listeners;
    if (topics.includes(topic)) return; // somebody came meanwhile
    this.#topics.delete(channelOf(topic));
    if (topics.length === 0) await this.#disconnect();
    else await this.#client?.query(`unlisten ${channelOf(topic)}`);
  }

  async #disconnect(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    if (client !== null) await end(client);
  }

  async #connected(): Promise<Client> {
    const client: Client = await connect(this.#config);
    client.on("notification", ({ channel, payload }) => {
      const topic = this.#topics.get(channel);
      if (topic !== undefined) this.#listeners.tell(topic, payload ?? "");
    });
    client.on("end", () => {
      if (this.#client !== client) return; // we ended it
      this.#client = null;
      void this.#inTurn(() => this.#reconnect());
    });
    return client;
  }

  async #reconnect(): Promise<void> {
    for (let delayMs = RECONNECT_MIN_MS; ; delayMs = Math.min(2 * delayMs, RECONNECT_MAX_MS)) {
      if (this.#isClosed || this.#client !== null || this.#listeners.topics.length === 0) return;
      try {
        const client = await this.#connected();
        for (const topic of this.#listeners.topics) await client.query(`listen ${channelOf(topic)}`);
        this.#client = client;
        for (const topic of this.#listeners.topics) this.#listeners.tell(topic, null);
        return;
      } catch {
        await sleep(delayMs, undefined, { ref: false });
      }
    }
  }
}
