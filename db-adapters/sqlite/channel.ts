/** How calls reach the connection: `thread-channel.ts` or `inline-channel.ts`. */
import type { Failure, Message, Request } from "./protocol.ts";

export interface ChannelEvents {
  onMessage(message: Message): void;
  /** The connection is gone: `why` is for whoever waits. */
  onEnd(why: string): void;
}

export interface Channel {
  post(request: Request): void;
  /** After a `close` request was answered. */
  end(): Promise<void>;
}

/** Opened, or why not. */
export type Opening<C extends Channel = Channel> = { readonly channel: C } | { readonly failure: Failure };
