/**
 * `--ha`: of several beats one leads, elected by RabbitMQ alone, and the schedule's state moves with leadership.
 *
 * One durable queue holds one message, the state. It has a single active consumer, so only one beat is given the
 * message, and **whoever holds it unacknowledged leads**. Saving publishes the next state (it arrives at the leader,
 * who never runs out of prefetch) and then acknowledges the old: a crash at any point leaves one of them, or both, of
 * which the next leader keeps the later. When the connection goes, so does leadership.
 *
 * Who finds an empty queue seeds it: every newcomer publishes an empty state, and the queue refuses it when one lies
 * ready (`x-max-length: 1`, `reject-publish`); a seed that slips in while the state is held is acknowledged away.
 */

import { createHash } from 'node:crypto';
import { Connection, type ConnectionOptions, Consumer, type Delivery, Publisher, Queue } from '../amqp/index.ts';
import { CloseStack } from '../core/close-stack.ts';
import type { Publication } from '../core/envelope.ts';
import { AccessRefused, OperationalError, PublishNackedError } from '../core/errors.ts';
import type { System } from '../core/system.ts';
import { readDocument, type SavedSchedule, scheduleDocument } from './saved-schedule.ts';
import type { ScheduleStore, StoreTerm } from './store.ts';

export interface LeaderOptions {
  /** What the beats have in common; different schedules on one virtual host need different names. */
  readonly name: string;
  readonly connection: Omit<ConnectionOptions, 'retry'>;
  readonly system: System;
}

/** After a death the next leader begins at once; what came due in the seconds between still comes. */
const handOverMs = 10_000;
/** RabbitMQ closes the channel of what is held for its `consumer_timeout`, 30 minutes by default. */
const renewEveryMs = 600_000;
/** An empty state is believed only when no other turns up within this time. */
const seedWaitMs = 200;
const standbyMs = 1000;
const reopenMs = 1000;
const refusedRetryMs = 50;
const refusedRetries = 40;

export class LeaderStore implements ScheduleStore {
  readonly #options: LeaderOptions;
  readonly queue: Queue;

  constructor(options: LeaderOptions) {
    this.#options = options;
    this.queue = stateQueue(options.name);
  }

  /** Resolves when this beat leads. @throws {AccessRefused} {DeclarationMismatch} */
  async open(signal: AbortSignal): Promise<StoreTerm> {
    const { system } = this.#options;
    for (;;) {
      const opened = new CloseStack();
      try {
        const term = new Term(this.#options, this.queue, opened);
        await term.begin(signal);
        return term;
      } catch (error) {
        await opened.close();
        const isPassing = error instanceof OperationalError && !(error instanceof AccessRefused);
        if (signal.aborted || !isPassing) throw error;
        system.log.warn({ err: error }, 'This beat lost its place in line: it stands in line again');
        await system.sleep(reopenMs, signal);
      }
    }
  }
}

interface Held {
  readonly delivery: Delivery;
  readonly seq: number;
  readonly schedule: SavedSchedule | undefined;
}

/** From standing in line to the loss of the connection. */
class Term implements StoreTerm {
  readonly saveDelayMs = 0;
  readonly saveRestFactor = 5; // what is not saved is sent twice by the next leader
  readonly graceMs = handOverMs;
  readonly #ended = new AbortController();
  readonly #system: System;
  readonly #queue: Queue;
  readonly #opened: CloseStack;
  readonly #connection: Connection;
  readonly #publisher: Publisher;
  #held: Held | undefined;
  #taken: SavedSchedule | undefined;
  #latest: SavedSchedule | undefined;
  #seq = 0;
  #hasBegun = false;
  #cancelRenewal: () => void = () => undefined;
  #onLead: () => void = () => undefined;

  constructor({ connection, system }: LeaderOptions, queue: Queue, opened: CloseStack) {
    this.#system = system;
    this.#queue = queue;
    this.#opened = opened;
    this.#connection = opened.adopt(new Connection(connection));
    this.#publisher = new Publisher(this.#connection, { retryPolicy: false, system });
    opened.defer(() => this.#publisher.close({ limitMs: 1000 }));
    opened.defer(() => this.#cancelRenewal());
  }

  get saved(): SavedSchedule | undefined {
    return this.#taken;
  }

  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  async begin(signal: AbortSignal): Promise<void> {
    const { log } = this.#system;
    const leads = new Promise<void>((resolve) => {
      this.#onLead = resolve;
    });
    await this.#connection.connect(signal);
    this.#opened.adopt(
      await Consumer.open({
        connection: this.#connection,
        queues: [this.#queue],
        prefetch: 0,
        onDelivery: (delivery) => this.#receive(delivery),
        onLost: ({ error }) => this.#end(error),
        system: this.#system,
      }),
    );
    await this.#seed();
    const cancelNote = this.#system.after(standbyMs, () => {
      log.info({ queue: this.#queue.name }, 'Another beat leads: this one stands by');
    });
    this.#opened.defer(cancelNote);
    await untilAborted(leads, AbortSignal.any([signal, this.ended]));
    cancelNote();
    if (this.#held?.schedule === undefined) await this.#system.sleep(seedWaitMs, signal);
    this.ended.throwIfAborted();
    this.#taken = this.#held?.schedule;
    this.#hasBegun = true;
    log.info({ queue: this.#queue.name, seq: this.#seq }, 'This beat leads');
    this.#renewLater();
  }

  async save(schedule: SavedSchedule): Promise<void> {
    if (this.ended.aborted) return;
    this.#latest = schedule;
    this.#seq += 1;
    const publication = this.#publication({ seq: this.#seq, schedule: scheduleDocument(schedule) });
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#publisher.publish(publication);
        break;
      } catch (error) {
        if (this.ended.aborted) return;
        // Somebody's seed lay ready for a moment: it is on its way here, to be acknowledged away.
        if (!(error instanceof PublishNackedError) || attempt >= refusedRetries) throw error;
        await this.#system.sleep(refusedRetryMs);
      }
    }
    this.#renewLater();
  }

  async close(): Promise<void> {
    this.#end(new OperationalError('This beat has stopped.'));
    await this.#opened.close(); // the state goes back to the queue, and to the next in line
  }

  #receive(delivery: Delivery): void {
    if (this.ended.aborted) return; // left for whoever leads next
    const state = readState(delivery.envelope.body);
    if (state === undefined) {
      this.#system.log.warn({ queue: this.#queue.name }, 'A message that is no state of a schedule is dropped');
      delivery.ack();
    } else if (this.#held !== undefined && state.seq <= this.#held.seq) {
      delivery.ack();
    } else if (this.#hasBegun && state.seq > this.#seq) {
      this.#end(new OperationalError('A later state of the schedule turned up: it is read first.'));
    } else {
      this.#held?.delivery.ack();
      this.#held = { delivery, ...state };
      this.#seq = Math.max(this.#seq, state.seq);
      this.#onLead();
    }
  }

  /** Refused when a state lies ready, as it should be. */
  async #seed(): Promise<void> {
    try {
      await this.#publisher.publish(this.#publication({ seq: 0 }));
    } catch (error) {
      if (!(error instanceof PublishNackedError)) throw error;
    }
  }

  #end(error: Error): void {
    this.#held = undefined;
    this.#cancelRenewal();
    this.#ended.abort(error);
  }

  #renewLater(): void {
    this.#cancelRenewal();
    this.#cancelRenewal = this.#system.after(renewEveryMs, () => {
      const latest = this.#latest;
      if (latest === undefined) return;
      this.save(latest).catch((error: unknown) => this.#end(error instanceof Error ? error : new Error(String(error))));
    });
  }

  #publication(state: Readonly<Record<string, unknown>>): Publication {
    return {
      envelope: {
        properties: { contentType: 'application/json', contentEncoding: 'utf-8', deliveryMode: 2 },
        headers: {},
        body: Buffer.from(JSON.stringify(state)),
      },
      exchange: '',
      routingKey: this.#queue.name,
      confirm: true,
      mandatory: true,
    };
  }
}

/** `celeryts.beat.<name>`; a name that is long or strange goes in as its hash. */
export function stateQueue(name: string): Queue {
  const part = /^[\w.-]{1,100}$/.test(name) ? name : createHash('sha256').update(name).digest('hex').slice(0, 32);
  return new Queue(`celeryts.beat.${part}`, {
    exchange: '',
    queueType: 'classic', // the limit is exact on classic queues only
    singleActiveConsumer: true,
    maxLength: 1,
    overflow: 'reject-publish',
  });
}

function readState(body: Uint8Array): { seq: number; schedule: SavedSchedule | undefined } | undefined {
  let state: unknown;
  try {
    state = JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof state !== 'object' || state === null || !('seq' in state)) return undefined;
  const { seq } = state;
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 0) return undefined;
  const schedule = 'schedule' in state ? readDocument(state.schedule) : undefined;
  return { seq, schedule: schedule?.schedule };
}

async function untilAborted(wanted: Promise<void>, signal: AbortSignal): Promise<void> {
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    await Promise.race([wanted, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
