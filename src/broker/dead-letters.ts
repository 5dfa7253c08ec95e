/**
 * What a message looks like after it died: RabbitMQ's `x-death` history and `x-first-death-*` headers, its `expiration`
 * taken off so that it does not die again at once; and whether it goes round in a circle that no client takes part in.
 */
import { buildMessage, type Message } from './message.ts';
import type { DeathReason } from './queue.ts';
import { emptyTable, type Field, field, integerOf, type Table, textOf, textsOf } from './wire/field-table.ts';
import type { Properties } from './wire/properties.ts';

export interface Death {
  readonly queue: string;
  readonly reason: DeathReason;
  /** Epoch seconds. */
  readonly timeSeconds: number;
  readonly exchange: string;
  /** Replaces the routing key, if the queue says so. */
  readonly routingKey: string | undefined;
}

/** The message to publish to the dead-letter exchange. */
export function deadMessage(message: Message, death: Death): Message {
  const { expiration, ...properties } = message.properties();
  const headers = withDeath(message, properties.headers ?? emptyTable, expiration, death);
  const kept: Properties = { ...properties, headers };
  return buildMessage(death.exchange, death.routingKey ?? message.routingKey, kept, message.body);
}

function withDeath(message: Message, given: Table, expiration: string | undefined, death: Death): Table {
  const headers = new Map(given);
  const deaths = deathsOf(given);
  const at = deaths.findIndex((table) => isDeathAt(table, death.queue, death.reason));
  const earlier = deaths[at];
  const keys = [message.routingKey, ...carbonKeys(given)];
  const entries: Record<string, Field> = {
    count: field.long((integerOf(earlier?.get('count')) ?? 0) + 1),
    reason: field.text(death.reason),
    queue: field.text(death.queue),
    time: field.timestamp(death.timeSeconds),
    exchange: field.text(message.exchange),
    'routing-keys': field.list(keys.map(field.text)),
  };
  if (expiration !== undefined) entries['original-expiration'] = field.text(expiration);
  const others = deaths.filter((_, i) => i !== at).map((value): Field => ({ type: 'F', value }));
  if (death.routingKey !== undefined) headers.delete('CC');
  headers.set('x-death', field.list([field.table(entries), ...others]));
  if (!given.has('x-first-death-reason')) {
    headers.set('x-first-death-exchange', field.text(message.exchange));
    headers.set('x-first-death-queue', field.text(death.queue));
    headers.set('x-first-death-reason', field.text(death.reason));
  }
  return headers;
}

/**
 * A dead message has been in `queue` before, and no client rejected it since: dead-lettering it there again would go on
 * for ever.
 */
export function isCycle(message: Message, queue: string): boolean {
  const deaths = deathsOf(message.properties().headers ?? emptyTable);
  const last = deaths.findIndex((table) => textOf(table.get('queue')) === queue);
  return last >= 0 && deaths.slice(0, last + 1).every((table) => textOf(table.get('reason')) !== 'rejected');
}

function deathsOf(headers: Table): readonly Table[] {
  const list = headers.get('x-death');
  return list?.type === 'A' ? list.value.flatMap((item) => (item.type === 'F' ? [item.value] : [])) : [];
}

function isDeathAt(table: Table, queue: string, reason: DeathReason): boolean {
  return textOf(table.get('queue')) === queue && textOf(table.get('reason')) === reason;
}

/** The further routing keys in the header `CC`. */
export function carbonKeys(headers: Table): readonly string[] {
  return textsOf(headers.get('CC'));
}
