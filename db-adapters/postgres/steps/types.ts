import type { Database } from "../../contract.ts";

/** Every step of the contract that is about data; the rest is the connection's business. */
export type StepName = Exclude<keyof Database, "describe" | "ping" | "close">;
export type Steps = Pick<Database, StepName>;
/** What one file of steps gives. */
export type StepsOf<Names extends StepName> = Pick<Steps, Names>;
