/**
 * Listening to what workers and clients announce: a queue of its own, one handler a type. The clock follows the events
 * of others, and workers are woken after each (re)start so that a monitor need not wait for their next heartbeat.
 */
import { type Connection, Consumer, type Delivery } from '../amqp/index.ts';
import type { LogicalClock } from '../core/logical-clock.ts';
import type { System } from '../core/system.ts';
import { type Codec, decodeEvents, type EventRecord } from '../message/index.ts';
import { type EventQueueOptions, eventQueue } from './topology.ts';

/** An event as it arrived. */
export type ReceivedEvent = EventRecord & {
  /** When it came, by this host's clock: epoch ms. */
  readonly localReceived: number;
};

export type EventHandler = (event: ReceivedEvent) => void | Promise<void>;

export interface ReceiverOptions extends EventQueueOptions {
  readonly connection: Connection;
  readonly codec: Codec;
  readonly clock: LogicalClock;
  readonly system: System;
  /** By type; `*` takes what has no handler of its own. */
  readonly handlers: Readonly<Record<string, EventHandler>>;
  /** The node this process is, if it is one: its own events do not adjust the clock. */
  readonly ownNode?: string | undefined;
  /** Content types taken. Default: what the codec accepts. */
  readonly accept?: ReadonlySet<string> | undefined;
  /** Asks all workers for a heartbeat (the control command `heartbeat`). */
  readonly wakeWorkers?: (() => Promise<void> | void) | undefined;
}

/** A client's clock is not kept in step, so its `task-sent` is placed just before now. */
const clientClockSkew = -1;

export class EventReceiver implements AsyncDisposable {
  readonly #options: ReceiverOptions;
  readonly #handlers: ReadonlyMap<string, EventHandler>;
  #consumer: Consumer | undefined;
  #malformed = 0;

  private constructor(options: ReceiverOptions) {
    this.#options = options;
    this.#handlers = new Map(Object.entries(options.handlers));
  }

  /** Opens the queue, consumes it, and wakes the workers. Celery: `app.events.Receiver(…).capture()`. */
  static async open(options: ReceiverOptions): Promise<EventReceiver> {
    const receiver = new EventReceiver(options);
    const { connection, system } = options;
    receiver.#consumer = await Consumer.open({
      connection,
      queues: [eventQueue(system.newId(), options)],
      prefetch: 0,
      noAck: true,
      onDelivery: (delivery) => receiver.#receive(delivery),
      onLocked: () => eventQueue(system.newId(), options),
      onRestored: () => void receiver.#wake(),
      onTrouble: ({ error, delayMs }) =>
        system.log.warn({ err: error, delayMs }, 'Events cannot be received; trying again'),
      system,
    });
    await receiver.#wake();
    return receiver;
  }

  /** Messages, and entries of lists, that were no events. */
  get malformed(): number {
    return this.#malformed;
  }

  async close(): Promise<void> {
    await this.#consumer?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #wake(): Promise<void> {
    try {
      await this.#options.wakeWorkers?.();
    } catch (error) {
      this.#options.system.log.warn({ err: error }, 'The workers could not be asked for a heartbeat');
    }
  }

  #receive({ envelope }: Delivery): void {
    const { codec, accept } = this.#options;
    try {
      const { events, problems } = decodeEvents(envelope, codec, accept);
      if (problems.length > 0) this.#refuse(problems.length, problems[0]);
      for (const event of events) this.#hand(adopt(event, this.#options));
    } catch (error) {
      this.#refuse(1, error);
    }
  }

  #hand(event: ReceivedEvent): void {
    const handler = this.#handlers.get(event.type) ?? this.#handlers.get('*');
    if (handler === undefined) return;
    const complain = (error: unknown): void =>
      this.#options.system.log.error({ err: error, type: event.type }, 'A handler for events failed');
    try {
      handler(event)?.catch(complain);
    } catch (error) {
      complain(error);
    }
  }

  /** The first is told at `warn`; somebody who sends a thousand does not fill the log. */
  #refuse(count: number, why: unknown): void {
    const level = this.#malformed === 0 ? 'warn' : 'debug';
    this.#malformed += count;
    this.#options.system.log[level]({ why: String(why), malformed: this.#malformed }, 'A message is no event');
  }
}

/** An event with its arrival, its clock put in relation to ours. Moves the clock. */
export function adopt(
  event: EventRecord,
  given: { readonly clock: LogicalClock; readonly system: System; readonly ownNode?: string | undefined },
): ReceivedEvent {
  const { clock, system, ownNode } = given;
  const localReceived = system.now();
  if (event.type === 'task-sent') {
    const placed = Math.max(clock.value, 1) + clientClockSkew;
    clock.adjust(placed);
    return { ...event, clock: placed, localReceived };
  }
  if (event.clock === undefined || event.hostname === ownNode) {
    const own = clock.forward();
    return { ...event, clock: event.clock ?? own, localReceived };
  }
  clock.adjust(event.clock);
  return { ...event, localReceived };
}
