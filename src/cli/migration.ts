/**
 * Messages on their way from one broker to another, queue by queue. Each is published to the queue itself, not by the
 * exchange it once came by, so that it arrives there once whatever is bound. It is acknowledged at the source after the
 * destination has confirmed it: what is in between when something fails is still at the source.
 */
import { type Connection, Consumer, type Delivery, type Publisher, Queue } from '../amqp/index.ts';
import type { Envelope } from '../core/envelope.ts';
import { OperationalError } from '../core/errors.ts';
import type { System } from '../core/system.ts';

export interface MigrationOptions {
  readonly source: Connection;
  readonly destination: Publisher;
  /** Names at the source, with the queues they become. */
  readonly queues: ReadonlyMap<string, Queue>;
  /** Take the messages away at the source; otherwise they are copied, and go back in their places at the end. */
  readonly acks: boolean;
  /** Messages at most. */
  readonly limit: number;
  /** The end, after this long without a message; undefined: none. */
  readonly idleMs: number | undefined;
  /** False leaves a message where it is. */
  readonly wants: (envelope: Envelope) => boolean;
  /** The destination has it. */
  readonly onMigrated: (envelope: Envelope, queue: string) => void;
  readonly system: System;
  /** Ends it early: what is under way is finished. */
  readonly signal: AbortSignal;
}

/** Messages of a queue that are under way at a time. */
const window = 200;

/**
 * @returns how many arrived.
 * @throws {OperationalError} when the source is lost on the way. @throws what publishing throws.
 */
export async function migrate(options: MigrationOptions): Promise<number> {
  const { acks, destination, idleMs, limit, queues, signal, system } = options;
  await destination.declare([...queues.values()]);
  const underWay = new Set<Promise<void>>();
  let [taken, arrived, held] = [0, 0, 0];
  let lastAt = system.monotonic();
  let failure: unknown;
  const end = new AbortController();
  const onStop = (): void => end.abort();
  signal.addEventListener('abort', onStop, { once: true });
  if (signal.aborted) end.abort();
  const fail = (error: unknown): void => {
    failure ??= error;
    end.abort();
  };
  const hold = (): void => {
    held += 1;
    consumer?.growPrefetch(held).catch(fail);
  };

  const send = async (delivery: Delivery, queue: Queue): Promise<void> => {
    try {
      await destination.publish({
        envelope: asNew(delivery.envelope),
        exchange: '',
        routingKey: queue.name,
        confirm: true,
        mandatory: true,
      });
      arrived += 1;
      if (acks) delivery.ack();
      else hold();
      options.onMigrated(delivery.envelope, delivery.queue);
      if (arrived === limit) end.abort();
    } catch (error) {
      fail(error);
    }
  };

  const onDelivery = (delivery: Delivery): void => {
    const queue = queues.get(delivery.queue);
    if (end.signal.aborted || queue === undefined || taken >= limit) return; // back to its place when we close
    lastAt = system.monotonic();
    if (!options.wants(delivery.envelope)) return hold();
    taken += 1;
    const sent = send(delivery, queue).finally(() => underWay.delete(sent));
    underWay.add(sent);
  };

  let consumer: Consumer | undefined;
  try {
    consumer = await Consumer.open({
      connection: options.source,
      queues: [...queues.keys()].map((name) => new Queue(name, { noDeclare: true })),
      prefetch: Math.min(window, limit),
      onDelivery,
      onOversize: (delivery) =>
        fail(new OperationalError(`A message in ${delivery.queue} is larger than is read here.`)),
      onLost: ({ error }) => fail(lost(error, arrived, acks)),
      onCancelled: ({ name }) => fail(new OperationalError(`The queue ${name} was deleted at the source.`)),
      system,
    });
    lastAt = system.monotonic();
    while (!end.signal.aborted) {
      const isIdle = idleMs !== undefined && underWay.size === 0 && system.monotonic() - lastAt >= idleMs;
      if (isIdle) break;
      await system.sleep(lookMs, end.signal).catch(() => undefined);
    }
    await Promise.all(underWay);
    if (failure !== undefined) throw failure;
    if (acks) await consumer.flush();
    return arrived;
  } finally {
    signal.removeEventListener('abort', onStop);
    await consumer?.close();
  }
}

const lookMs = 50;

function lost(error: Error, arrived: number, acks: boolean): OperationalError {
  const next = acks
    ? 'Nothing is lost; run it again, and the last few may arrive twice'
    : 'The copies are there; another run copies all of them again';
  return new OperationalError(`The source was lost after ${arrived} messages (${error.message}). ${next}.`, error);
}

/**
 * As it was published once. What brokers add is left out, and what would route it elsewhere (`CC`) or be refused by a
 * broker with other users (`user-id`).
 */
function asNew({ body, headers, properties }: Envelope): Envelope {
  const { userId: _, ...kept } = properties;
  const own = Object.entries(headers).filter(([name]) => !['CC', 'BCC', 'x-delivery-count'].includes(name));
  return { properties: kept, headers: Object.fromEntries(own), body };
}
