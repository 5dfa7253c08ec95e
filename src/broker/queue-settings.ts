/**
 * What a queue was declared with: its arguments read once into plain settings.
 */
import { integerOf, type Table, textOf } from './wire/field-table.ts';

export interface QueueSettings {
  readonly type: 'classic' | 'quorum';
  readonly messageTtlMs: number | undefined;
  readonly expiresMs: number | undefined;
  readonly maxLength: number;
  readonly maxBytes: number;
  readonly overflow: 'drop-head' | 'reject-publish' | 'reject-publish-dlx';
  readonly deadLetterExchange: string | undefined;
  readonly deadLetterRoutingKey: string | undefined;
  readonly maxPriority: number;
  readonly isSingleActive: boolean;
  /** Returns a quorum queue allows before it drops or dead-letters a message. */
  readonly deliveryLimit: number;
}

export function readQueueSettings(given: Table): QueueSettings {
  const overflow = textOf(given.get('x-overflow'));
  const single = given.get('x-single-active-consumer');
  return {
    type: textOf(given.get('x-queue-type')) === 'quorum' ? 'quorum' : 'classic',
    messageTtlMs: integerOf(given.get('x-message-ttl')),
    expiresMs: integerOf(given.get('x-expires')),
    maxLength: integerOf(given.get('x-max-length')) ?? Number.POSITIVE_INFINITY,
    maxBytes: integerOf(given.get('x-max-length-bytes')) ?? Number.POSITIVE_INFINITY,
    overflow: overflow === 'reject-publish' || overflow === 'reject-publish-dlx' ? overflow : 'drop-head',
    deadLetterExchange: textOf(given.get('x-dead-letter-exchange')),
    deadLetterRoutingKey: textOf(given.get('x-dead-letter-routing-key')),
    maxPriority: Math.min(integerOf(given.get('x-max-priority')) ?? 0, 255),
    isSingleActive: single?.type === 't' && single.value,
    deliveryLimit: integerOf(given.get('x-delivery-limit')) ?? Number.POSITIVE_INFINITY,
  };
}
