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

class AdaptiveChannel implements Channel {
  readonly #events: ChannelEvents;
  readonly #inline: Channel;
  readonly #helper: Helper;
  #load: Load = CALM;
  #isMovedOut = false;
  #isClosing = false;

  constructor(inline: Channel, helper: Helper, events: ChannelEvents) {
    this.#inline = inline;
    this.#helper = helper;
    this.#events = events;
  }

  post(request: Request): void {
    if (request.step === "close") {
      this.#isMovedOut = false;
      this.#isClosing = true;
      void this.#helper.close().then(() => this.#inline.post(request));
    } else if (this.#isMovedOut) this.#helper.post(request);
    else this.#inline.post(request);
  }

  async end(): Promise<void> {}

  onMessage(message: Message): void {
    this.#events.onMessage(message);
    if (message.kind !== "answers" || message.commit === null || this.#isClosing) return;
    this.#load = afterCommit(this.#load, message.commit.batchSize);
    if (this.#isMovedOut) this.#moveBack();
    else if (isHigh(this.#load)) this.#isMovedOut = this.#helper.wake();
  }

  #moveBack(): void {
    if (!isLow(this.#load) || !this.#helper.isIdle) return;
    this.#isMovedOut = false;
    this.#helper.rest();
  }
}

export function openAdaptive(input: WorkerInput, events: ChannelEvents): Opening {
  let channel: AdaptiveChannel | null = null;
  const inner: ChannelEvents = {
    onMessage: (message) => channel?.onMessage(message),
    onEnd: (why) => events.onEnd(why),
  };
  const opening = openInline(input, inner);
  if ("failure" in opening) return opening;
  channel = new AdaptiveChannel(opening.channel, new Helper(input, inner), events);
  return { channel };
}
