/** The second thread: started when it is first needed, ended when it has rested for a while. */
import { failureOf } from "./batch.ts";
import type { Channel, ChannelEvents } from "./channel.ts";
import type { Failure, Message, Request, WorkerInput } from "./protocol.ts";
import { openThread } from "./thread-channel.ts";

/** A resting thread keeps some 20 MB. */
const REST_MS = 60_000;
/** Of our own request to the thread; callers count from 1. */
const CLOSE_ID = 0;

export class Helper {
  readonly #input: WorkerInput;
  readonly #events: ChannelEvents;
  #channel: Channel | null = null;
  #starting: Promise<void> | null = null;
  #closing: Promise<void> | null = null;
  #closed: (() => void) | null = null;
  #resting: NodeJS.Timeout | null = null;
  #inFlight = 0;
  #isRefused = false;

  constructor(input: WorkerInput, events: ChannelEvents) {
    this.#input = input;
    this.#events = events;
  }

  /** Whether every call was answered. */
  get isIdle(): boolean {
    return this.#inFlight === 0;
  }

  /** True when the thread can be posted to from now on; starts it when there is none. */
  wake(): boolean {
    if (this.#closing !== null || this.#isRefused) return false;
    if (this.#channel === null) {
      this.#starting ??= this.#start();
      return false;
    }
    this.#stopResting();
    return true;
  }

  post(request: Request): void {
    this.#inFlight += 1;
    this.#channel?.post(request);
  }

  /** It isn't needed for now. */
  rest(): void {
    this.#resting = setTimeout(() => void this.close(), REST_MS).unref();
  }

  /** After what was posted has been answered; it can be woken again. */
  close(): Promise<void> {
    this.#stopResting();
    this.#closing ??= this.#close().finally(() => {
      this.#closing = null;
    });
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#starting;
    const channel = this.#channel;
    if (channel === null) return;
    await new Promise<void>((resolve) => {
      this.#closed = resolve;
      channel.post({ id: CLOSE_ID, step: "close" });
    });
    await channel.end();
    this.#channel = null;
  }

  #stopResting(): void {
    if (this.#resting !== null) clearTimeout(this.#resting);
    this.#resting = null;
  }

  async #start(): Promise<void> {
    try {
      const opening = await openThread(this.#input, {
        onMessage: (message) => this.#receive(message),
        onEnd: (why) => this.#ended(why),
      });
      if ("channel" in opening) this.#channel = opening.channel;
      else this.#refuse(opening.failure);
    } catch (error) {
      this.#refuse(failureOf(error));
    }
    this.#starting = null;
  }

  /** Not asked for again: the other thread does all there is to do, only not as fast. */
  #refuse(failure: Failure): void {
    this.#isRefused = true;
    this.#events.onMessage({ kind: "refused", failure });
  }

  #receive(message: Message): void {
    if (message.kind === "answers" && message.answers[0]?.id === CLOSE_ID) {
      this.#closed?.();
      return;
    }
    if (message.kind === "answers") this.#inFlight -= message.answers.length;
    this.#events.onMessage(message);
  }

  #ended(why: string): void {
    if (this.#closing === null) this.#events.onEnd(why);
    else this.#closed?.();
  }
}
