/** The second thread: started when it is first needed, ended when it has rested for a while. */
import { failureOf } from "./batch.ts";
import type { ChannelEvents } from "./channel.ts";
import type { Failure, Message, Request, WorkerInput } from "./protocol.ts";
import { openThread, type ThreadChannel } from "./thread-channel.ts";

/** Without a call for so long, the thread and its memory are given back. */
const REST_MS = 60_000;
/** Of our own request to the thread; callers count from 1. */
const CLOSE_ID = 0;

export interface HelperEvents extends ChannelEvents {
  /** Nobody has called for a while: the thread is about to end. */
  onRested(): void;
}

export class Helper {
  readonly #input: WorkerInput;
  readonly #events: HelperEvents;
  #channel: ThreadChannel | null = null;
  #starting: Promise<void> | null = null;
  #closing: Promise<void> | null = null;
  #closed: (() => void) | null = null;
  #resting: NodeJS.Timeout | null = null;
  #isRefused = false;

  constructor(input: WorkerInput, events: HelperEvents) {
    this.#input = input;
    this.#events = events;
  }

  /** Whether every call was answered. */
  get isIdle(): boolean {
    return this.#channel?.isIdle ?? true;
  }

  /** True when the thread can be posted to from now on; starts it when there is none. */
  wake(): boolean {
    if (this.#closing !== null || this.#isRefused) return false;
    if (this.#channel === null) {
      this.#starting ??= this.#start();
      return false;
    }
    this.#resting?.refresh();
    return true;
  }

  post(request: Request): void {
    this.#channel?.post(request);
  }

  /** After what was posted has been answered; it can be woken again. */
  close(): Promise<void> {
    this.#closing ??= this.#close().finally(() => {
      this.#closing = null;
    });
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#starting;
    if (this.#resting !== null) clearTimeout(this.#resting);
    this.#resting = null;
    const channel = this.#channel;
    if (channel === null) return;
    await new Promise<void>((resolve) => {
      this.#closed = resolve;
      channel.post({ id: CLOSE_ID, step: "close" });
    });
    await channel.end();
    this.#channel = null;
  }

  #rest(): void {
    if (!this.isIdle) {
      this.#resting?.refresh();
      return;
    }
    this.#events.onRested();
    void this.close();
  }

  async #start(): Promise<void> {
    try {
      const opening = await openThread(this.#input, {
        onMessage: (message) => this.#receive(message),
        onEnd: (why) => this.#ended(why),
      });
      if ("failure" in opening) this.#refuse(opening.failure);
      else {
        this.#channel = opening.channel;
        this.#resting = setTimeout(() => this.#rest(), REST_MS).unref();
      }
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
    this.#resting?.refresh();
    this.#events.onMessage(message);
  }

  #ended(why: string): void {
    if (this.#closing === null) this.#events.onEnd(why);
    else this.#closed?.();
  }
}
