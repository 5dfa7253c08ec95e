/**
 * Whether a message that came back is one that we sent. The broker returns content and says no number, so content is
 * compared, all of it. Two messages that are equal byte for byte may be taken for each other: of such a pair one is in
 * the queue and one is not, whichever of the two callers hears it.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Message } from 'amqplib';
import type { Publication } from '../core/envelope.ts';

export function isSameMessage({ exchange, routingKey, envelope }: Publication, returned: Message): boolean {
  const { fields, properties, content } = returned;
  return (
    properties.correlationId === envelope.properties.correlationId &&
    properties.messageId === envelope.properties.messageId &&
    fields.routingKey === routingKey &&
    fields.exchange === exchange &&
    content.length === envelope.body.length &&
    content.equals(envelope.body) &&
    isSameValue(envelope.headers, properties.headers ?? {})
  );
}

/** As `frames.ts` writes and amqplib reads. */
function isSameValue(sent: unknown, received: unknown): boolean {
  if (Object.is(sent, received)) return true;
  if (typeof sent === 'bigint') return typeof received === 'number' && Number(sent) === received;
  if (typeof sent === 'number') return sent === received || (sent === 0 && received === 0);
  if (sent === undefined) return received === null; // in a list
  if (typeof sent !== 'object' || sent === null || typeof received !== 'object' || received === null) return false;
  if (Array.isArray(sent)) {
    if (!Array.isArray(received) || sent.length !== received.length) return false;
    return sent.every((item, index) => isSameValue(item, received[index]));
  }
  if (sent instanceof Uint8Array) return received instanceof Uint8Array && Buffer.from(sent).equals(received);
  if (sent instanceof Date) {
    return isDeepStrictEqual(received, { '!': 'timestamp', value: Math.floor(sent.getTime() / 1000) });
  }
  const there = Object.entries(sent).filter(([, value]) => value !== undefined);
  const got = new Map(Object.entries(received));
  return there.length === got.size && there.every(([key, value]) => got.has(key) && isSameValue(value, got.get(key)));
}
