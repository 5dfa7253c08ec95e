/**
 * What a signature may carry for its call: the options of `applyAsync` (`CallOptions` in `task/`, a higher room, which
 * has them all and more). A type test holds the two together.
 */
import type { Exchange, Queue } from '../amqp/index.ts';

/** Options of a signature. Durations are seconds. Celery: `Signature.options`. */
export interface SignatureOptions {
  readonly taskId?: string | undefined;
  /** Seconds from now. */
  readonly countdown?: number | undefined;
  /** Not before this time. */
  readonly eta?: Date | undefined;
  /** Seconds from now, or a date: not after this time. */
  readonly expires?: number | Date | undefined;
  readonly queue?: string | Queue | undefined;
  readonly exchange?: string | Exchange | undefined;
  readonly routingKey?: string | undefined;
  /** 0 to 255, higher first. */
  readonly priority?: number | undefined;
  readonly serializer?: string | undefined;
  readonly compression?: string | undefined;
  readonly deliveryMode?: 1 | 2 | undefined;
  readonly headers?: Readonly<Record<string, unknown>> | undefined;
  /** Seconds. */
  readonly timeLimit?: number | undefined;
  /** Seconds. */
  readonly softTimeLimit?: number | undefined;
  readonly ignoreResult?: boolean | undefined;
  readonly shadow?: string | undefined;
  readonly replyTo?: string | undefined;
  readonly rootId?: string | undefined;
  readonly parentId?: string | undefined;
  readonly groupId?: string | undefined;
  readonly groupIndex?: number | undefined;
  readonly retries?: number | undefined;
  readonly addToParent?: boolean | undefined;
}
