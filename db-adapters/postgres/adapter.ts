/** The contract over a pool: refuses steps once closed, and counts what still runs. */
import { type Database, DatabaseUnavailableError } from "../contract.ts";
import type { Steps } from "./steps/types.ts";

export type OwnSteps = Pick<Database, "describe" | "ping">;
type AnyStep = (...args: readonly unknown[]) => Promise<unknown>;

/** `close` is called once, when the last accepted step has ended. */
export function guardSteps(steps: Steps & OwnSteps, close: () => Promise<void>): Database {
  let running = 0;
  let closing: Promise<void> | null = null;
  let onIdle: () => void = () => undefined;

  const guarded =
    (step: AnyStep) =>
    async (...args: readonly unknown[]) => {
      if (closing !== null) throw new DatabaseUnavailableError("the database is closed");
      running += 1;
      try {
        return await step(...args);
      } finally {
        running -= 1;
        if (running === 0) onIdle();
      }
    };

  const closeOnce = async () => {
    if (running > 0)
      await new Promise<void>((resolve) => {
        onIdle = resolve;
      });
    await close();
  };
  const entries = Object.entries(steps).map(([name, step]) => [name, guarded(step as AnyStep)] as const);
  return {
    // The steps are typed by the contract, and guarded without a change to their types.
    ...(Object.fromEntries(entries) as unknown as Steps & OwnSteps),
    close: () => {
      closing ??= closeOnce();
      return closing;
    },
  };
}
