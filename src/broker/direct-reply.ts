/**
 * Direct reply-to: a client consumes from the pseudo-queue `amq.rabbitmq.reply-to`, publishes requests that name it as
 * `reply_to`, and the answers come straight to its channel. No queue is made; an answer to nobody is unroutable.
 */
import type { Message } from './message.ts';

export const replyQueue = 'amq.rabbitmq.reply-to';

export interface ReplyReceiver {
  reply(message: Message): void;
}

/** The receivers of one virtual host, by the routing key that reaches them. */
export class DirectReplies {
  readonly #byKey = new Map<string, ReplyReceiver>();

  open(id: string, receiver: ReplyReceiver): string {
    const key = `${replyQueue}.${id}`;
    this.#byKey.set(key, receiver);
    return key;
  }

  close(key: string): void {
    this.#byKey.delete(key);
  }

  find(key: string): ReplyReceiver | undefined {
    return this.#byKey.get(key);
  }
}

/** The name or key belongs to direct reply-to. */
export function isReplyName(name: string): boolean {
  return name.startsWith(replyQueue);
}
