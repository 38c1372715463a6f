import type { Database } from "../../contract.ts";

/** The contract as the worker runs it: whole steps, each inside a transaction that somebody else commits. */
export type Sync<T> = {
  [K in keyof T]: T[K] extends (...args: infer Args) => Promise<infer Result>
    ? (...args: Args) => Result
    : never;
};

/** Every step of the contract that is about data; the rest is the connection's business. */
export type StepName = Exclude<keyof Database, "describe" | "ping" | "close">;
export type Steps = Pick<Sync<Database>, StepName>;
/** What one file of steps gives. */
export type StepsOf<Names extends StepName> = Pick<Steps, Names>;
