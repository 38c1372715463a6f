/** The event bus, the cron lock and the counts of a database that one process has to itself. */
import { type CronLock, EVENT_BYTES_MAX, type EventBus, type RateCounter } from "./contract.ts";

type Listener = (payload: string | null) => void;

/** @throws RangeError */
export function checkPayload(payload: string): void {
  const sizeBytes = Buffer.byteLength(payload);
  if (sizeBytes > EVENT_BYTES_MAX)
    throw new RangeError(`an event of ${sizeBytes} bytes, ${EVENT_BYTES_MAX} at most`);
}

/** Who listens to what; a listener may be there twice and goes once each. */
export class Listeners {
  readonly #byTopic = new Map<string, Set<{ readonly listener: Listener }>>();

  get topics(): string[] {
    return [...this.#byTopic.keys()];
  }

  /** Gives the function that takes it away again; true from it says that the topic has no listener any more. */
  add(topic: string, listener: Listener): () => boolean {
    const entry = { listener };
    const entries = this.#byTopic.get(topic) ?? new Set();
    this.#byTopic.set(topic, entries.add(entry));
    return () => {
      if (!entries.delete(entry) || entries.size > 0 || this.#byTopic.get(topic) !== entries) return false;
      return this.#byTopic.delete(topic);
    };
  }

  tell(topic: string, payload: string | null): void {
    for (const { listener } of this.#byTopic.get(topic) ?? []) listener(payload);
  }
}

export function inProcessBus(): EventBus {
  const listeners = new Listeners();
  return {
    async publish(topic, payload) {
      checkPayload(payload);
      queueMicrotask(() => listeners.tell(topic, payload));
    },
    async subscribe(topic, onEvent) {
      const remove = listeners.add(topic, onEvent);
      return async () => void remove();
    },
  };
}

export function inProcessCronLock(): CronLock {
  const held = new Set<string>();
  return {
    async tryCronLock(name) {
      if (held.has(name)) return null;
      held.add(name);
      return { release: async () => void held.delete(name) };
    },
  };
}

/** Nobody else counts. */
export function noSharedRates(): RateCounter {
  return { countRate: async () => null };
}
