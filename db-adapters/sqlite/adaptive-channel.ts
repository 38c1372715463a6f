/**
 * On the caller's thread while few write, on a thread of its own while many do: a lone write is answered sooner
 * where nobody has to be woken, but with many clients at once the statements and the disk take as long as all the
 * rest, and two threads share it. Each has a connection of its own; one of them is used at a time.
 */
import type { Channel, ChannelEvents, Opening } from "./channel.ts";
import { Helper } from "./helper.ts";
import { openInline } from "./inline-channel.ts";
import { afterCommit, CALM, isHigh, isLow, type Load } from "./load.ts";
import type { Message, Request, WorkerInput } from "./protocol.ts";

/** Without a call for so long, whatever comes next comes to a calm database. */
const CALM_AFTER_MS = 250;

class AdaptiveChannel implements Channel {
  readonly #events: ChannelEvents;
  readonly #inline: Channel;
  readonly #helper: Helper;
  #load: Load = CALM;
  #isMovedOut = false;
  #isClosing = false;
  /** When the helper last answered. */
  #answeredMs = 0;

  constructor(inline: Channel, input: WorkerInput, events: ChannelEvents) {
    this.#inline = inline;
    this.#events = events;
    this.#helper = new Helper(input, {
      onMessage: (message) => this.onMessage(message),
      onEnd: (why) => events.onEnd(why),
      onRested: () => this.#moveBack(),
    });
  }

  post(request: Request): void {
    if (request.step === "close") {
      this.#isMovedOut = false;
      this.#isClosing = true;
      void this.#helper.close().then(() => this.#inline.post(request));
      return;
    }
    if (this.#isMovedOut && this.#helper.isIdle && performance.now() - this.#answeredMs > CALM_AFTER_MS)
      this.#moveBack();
    if (this.#isMovedOut) this.#helper.post(request);
    else this.#inline.post(request);
  }

  async end(): Promise<void> {}

  /** From either thread. */
  onMessage(message: Message): void {
    if (this.#isMovedOut) this.#answeredMs = performance.now();
    this.#events.onMessage(message);
    if (message.kind !== "answers" || message.commit === null || this.#isClosing) return;
    this.#load = afterCommit(this.#load, message.commit.batchSize);
    if (!this.#isMovedOut) {
      if (isHigh(this.#load)) this.#moveOut();
    } else if (isLow(this.#load) && this.#helper.isIdle) this.#moveBack();
  }

  #moveOut(): void {
    this.#isMovedOut = this.#helper.wake();
    this.#answeredMs = performance.now();
  }

  #moveBack(): void {
    this.#isMovedOut = false;
    this.#load = CALM;
  }
}

export function openAdaptive(input: WorkerInput, events: ChannelEvents): Opening {
  let channel: AdaptiveChannel | null = null;
  const opening = openInline(input, {
    onMessage: (message) => channel?.onMessage(message),
    onEnd: (why) => events.onEnd(why),
  });
  if ("failure" in opening) return opening;
  channel = new AdaptiveChannel(opening.channel, input, events);
  return { channel };
}
