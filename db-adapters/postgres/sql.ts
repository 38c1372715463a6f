/** Statements by their text, each prepared once on a connection, at its first use there. */
import type pg from "pg";
import { DatabaseUnavailableError } from "../contract.ts";
import type { Attempt, Calls } from "./calls.ts";

export type Value = string | number | boolean | null | Uint8Array | readonly (string | number | null)[];

/** Told of each statement that was answered. */
export type QueryObserver = (text: string, durationMs: number) => void;

/** Postgres holds no NUL in a text; what SQLite would keep is kept legible here. */
function storable(value: Value): Value {
  if (typeof value === "string") return value.includes("\0") ? value.replaceAll("\0", "\ufffd") : value;
  if (!Array.isArray(value)) return value;
  return value.map((member) => (typeof member === "string" ? (storable(member) as string) : member));
}

const names = new Map<string, string>();

/** Statement names are the process's own: a connection knows each text under one name. */
function nameOf(text: string): string {
  let name = names.get(text);
  if (name === undefined) {
    name = `s${names.size}`;
    names.set(text, name);
  }
  return name;
}

interface Answer<Row> {
  readonly rows: Row[];
  readonly count: number;
}

async function send<Row>(
  client: pg.PoolClient,
  observe: QueryObserver | undefined,
  text: string,
  values: readonly Value[],
): Promise<Answer<Row>> {
  const startedMs = performance.now();
  const query = { name: nameOf(text), text, values: values.map(storable) };
  const result = await client.query<pg.QueryResultRow>(query);
  observe?.(text, performance.now() - startedMs);
  // `Row` is believed: the schema's types name the columns.
  return { rows: result.rows as Row[], count: result.rowCount ?? 0 };
}

/** Inside a transaction. Its statements go out as they are called; nobody waits for an answer that isn't used. */
export class Transaction {
  readonly #send: <Row>(text: string, values: readonly Value[]) => Promise<Answer<Row>>;
  readonly #unread: Promise<unknown>[] = [];

  constructor(client: pg.PoolClient, observe: QueryObserver | undefined) {
    this.#send = (text, values) => send(client, observe, text, values);
  }

  async get<Row>(text: string, ...values: Value[]): Promise<Row | null> {
    return (await this.#send<Row>(text, values)).rows[0] ?? null;
  }

  async all<Row>(text: string, ...values: Value[]): Promise<Row[]> {
    return (await this.#send<Row>(text, values)).rows;
  }

  /** How many rows were touched. */
  async run(text: string, ...values: Value[]): Promise<number> {
    return (await this.#send(text, values)).count;
  }

  /** A change whose answer nobody needs: it travels with what follows, and its failure fails the commit. */
  post(text: string, ...values: Value[]): void {
    const answer = this.#send(text, values);
    answer.catch(() => undefined); // seen by `settled`
    this.#unread.push(answer);
  }

  async settled(): Promise<void> {
    await Promise.all(this.#unread);
  }
}

export class Sql {
  readonly #calls: Calls;
  readonly #observe: QueryObserver | undefined;

  constructor(calls: Calls, observe: QueryObserver | undefined) {
    this.#calls = calls;
    this.#observe = observe;
  }

  /** The first row of a read; null for none. */
  async get<Row>(text: string, ...values: Value[]): Promise<Row | null> {
    return (await this.#single<Row>(true, text, values)).rows[0] ?? null;
  }

  async all<Row>(text: string, ...values: Value[]): Promise<Row[]> {
    return (await this.#single<Row>(true, text, values)).rows;
  }

  /** A change that may be applied twice without harm; the first row that it returns. */
  async change<Row>(text: string, ...values: Value[]): Promise<Row | null> {
    return (await this.#single<Row>(true, text, values)).rows[0] ?? null;
  }

  /** A change whose second time would answer otherwise: never sent again once it may have been applied. */
  async changeOnce<Row>(text: string, ...values: Value[]): Promise<Row | null> {
    return (await this.#single<Row>(false, text, values)).rows[0] ?? null;
  }

  /** READ COMMITTED: each statement sees what was committed when it began, so locks come first. */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    return this.#calls.run({ isRepeatable: false }, (attempt) => this.#transact(attempt, work));
  }

  #single<Row>(isRepeatable: boolean, text: string, values: readonly Value[]): Promise<Answer<Row>> {
    return this.#calls.run({ isRepeatable }, (attempt) => {
      attempt.isSent = true;
      return send<Row>(attempt.client, this.#observe, text, values);
    });
  }

  async #transact<T>(attempt: Attempt, work: (tx: Transaction) => Promise<T>): Promise<T> {
    const { client } = attempt;
    const begun = client.query("begin"); // travels with the first statement
    begun.catch(() => undefined);
    const tx = new Transaction(client, this.#observe);
    let result: T;
    try {
      result = await work(tx);
      await begun;
    } catch (error) {
      await client.query("rollback").catch(() => undefined); // a connection that can't is broken, and dropped
      throw error;
    }
    attempt.isSent = true;
    const committed = client.query("commit");
    committed.catch(() => undefined);
    await tx.settled(); // what failed made the commit a rollback
    if ((await committed).command !== "COMMIT")
      throw new DatabaseUnavailableError("Postgres: rolled back at commit");
    return result;
  }
}
