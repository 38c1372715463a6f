/**
 * The connection on the caller's own thread: for a local disk whose fsync takes less time than waking another
 * thread twice does, while few clients write. The writes of one turn of the event loop share a commit, so that
 * several clients wait for one fsync together all the same.
 */
import type { Channel, ChannelEvents, Opening } from "./channel.ts";
import type { Request, StepRequest, WorkerInput } from "./protocol.ts";
import { openSession, refusalOf, type Session } from "./session.ts";
import { isWriteStep } from "./steps/index.ts";

/** Writes of one turn at most: bounds how long other work waits. */
const TURN_MAX = 64;

class InlineChannel implements Channel {
  readonly #session: Session;
  readonly #events: ChannelEvents;
  #writes: StepRequest[] = [];
  #close: Request | null = null;

  constructor(session: Session, events: ChannelEvents) {
    this.#session = session;
    this.#events = events;
  }

  post(request: Request): void {
    if (request.step === "close") {
      this.#close = request;
      if (this.#writes.length === 0) this.#end(request);
    } else if (isWriteStep(request.step)) {
      if (this.#writes.length === 0) setImmediate(() => this.#turn());
      this.#writes.push(request);
    } else this.#run([request]);
  }

  async end(): Promise<void> {}

  #turn(): void {
    this.#run(this.#writes.splice(0, TURN_MAX));
    if (this.#writes.length > 0) setImmediate(() => this.#turn());
    else if (this.#close !== null) this.#end(this.#close);
  }

  #run(requests: readonly StepRequest[]): void {
    this.#session.run(requests, (answers, commit) =>
      this.#events.onMessage({ kind: "answers", answers, commit }),
    );
  }

  #end({ id }: Request): void {
    this.#close = null;
    this.#session.close();
    this.#events.onMessage({ kind: "answers", answers: [{ id, ok: true, value: null }], commit: null });
  }
}

export function openInline(input: WorkerInput, events: ChannelEvents): Opening {
  try {
    return { channel: new InlineChannel(openSession(input), events) };
  } catch (error) {
    return { failure: refusalOf(error) };
  }
}
