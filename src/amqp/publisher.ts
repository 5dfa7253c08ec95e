/**
 * Publishing with the broker's word for it. A publish resolves when the broker has confirmed the message and has not
 * returned it; anything else rejects with an error of ours before the publish timeout. A message's way:
 *
 *     waiting ──▶ sent ──▶ confirmed                        resolves
 *        ▲          ├────▶ refused (nack)                   PublishNackedError
 *        │          ├────▶ returned ──▶ declared again ─┐   UnroutableError, when its queue is not ours or that did not help
 *        ├──────────┼───────────────────────────────────┘
 *        └──────────┴────▶ channel or connection lost       sent again by the retry policy, or PublishError
 *     waiting or sent for too long                          PublishTimeoutError
 *
 * At most `maxOutstanding` are sent and unconfirmed, the others wait in line: that is the backpressure a caller feels
 * by awaiting. One promise and one small object for each publish; confirms are handled as the frames come.
 */
import type { ConfirmChannel } from 'amqplib';
import type { Publication, PublishRetryPolicy } from '../core/envelope.ts';
import { OperationalError, PublishError, PublishTimeoutError } from '../core/errors.ts';
import type { Logger, System } from '../core/system.ts';
import { asError, codeOf, exchangeAtFault, explainChannelError, replyCode } from './broker-errors.ts';
import { ConfirmWindow } from './confirm-window.ts';
import type { Connection, OpenedChannel } from './connection.ts';
import { politeCloseLimitMs, within } from './deadline.ts';
import { DeadlineList } from './deadline-list.ts';
import { DeclaredQueues } from './declared-queues.ts';
import { Line } from './line.ts';
import { createOutbox, type Outbox } from './outbox.ts';
import { PlainSender } from './plain-sender.ts';
import {
  addressOf,
  Job,
  lostTooOften,
  missingExchange,
  nacked,
  type Returned,
  refusal,
  returnedOf,
  unroutable,
} from './publish-job.ts';
import { isSameMessage } from './same-message.ts';
import type { Queue } from './topology.ts';

export interface PublisherOptions {
  /** Seconds from `publish` to the broker's confirm: connecting, an alarm and repeats included. Default 30. */
  readonly publishTimeoutSeconds?: number;
  /** Messages sent and not yet confirmed; the others wait. Default 1,000. */
  readonly maxOutstanding?: number;
  /** Bytes of their bodies; one message is let through however large. Default 64 MiB. */
  readonly maxOutstandingBytes?: number;
  /** `false`: nothing is sent a second time. */
  readonly retryPolicy?: PublishRetryPolicy | false;
  readonly system: System;
}

/** The confirm channel of now. */
interface Wire {
  readonly opened: OpenedChannel<ConfirmChannel>;
  readonly outbox: Outbox;
  readonly window: ConfirmWindow<Job>;
  bytes: number;
}

interface WholePolicy {
  readonly maxRetries: number | null;
  readonly intervalStart: number;
  readonly intervalStep: number;
  readonly intervalMax: number;
}

function wholePolicy(given: PublishRetryPolicy | false | undefined, base: WholePolicy): WholePolicy {
  if (given === undefined) return base;
  if (given === false) return { ...base, maxRetries: 0 };
  return {
    maxRetries: given.maxRetries === undefined ? base.maxRetries : given.maxRetries,
    intervalStart: given.intervalStart ?? base.intervalStart,
    intervalStep: given.intervalStep ?? base.intervalStep,
    intervalMax: given.intervalMax ?? base.intervalMax,
  };
}

const done = Promise.resolve();
const channelRestMs = 100;

/**
 * Publishes over one connection, which it opens when it is needed and never closes.
 *
 * @example
 * const publisher = new Publisher(connection, { system });
 * await publisher.declare([new Queue('mail')]);
 * await publisher.publish({ envelope, exchange: '', routingKey: 'mail', confirm: true, mandatory: true });
 */
export class Publisher {
  readonly connection: Connection;
  readonly #system: System;
  readonly #log: Logger;
  readonly #limitSeconds: number;
  readonly #maxOutstanding: number;
  readonly #maxOutstandingBytes: number;
  readonly #retry: WholePolicy;
  readonly #deadlines: DeadlineList<Job>;
  readonly #declared: DeclaredQueues;
  readonly #plain: PlainSender;
  readonly #line = new Line<Job>();
  #wire: Wire | undefined;
  #isOpening = false;
  /** Some of the next so many messages closed a channel, nobody knows which: they are sent one at a time. */
  #suspects = 0;
  /** Came back; their queues are being declared again. */
  readonly #comingBack = new Set<Job>();
  #heldUntil = 0;
  #unsettled = 0;
  #isClosed = false;
  #onIdle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(connection: Connection, options: PublisherOptions) {
    const { system, retryPolicy } = options;
    this.connection = connection;
    this.#system = system;
    this.#log = system.log.child({ name: 'celery.amqp.publisher' });
    this.#limitSeconds = options.publishTimeoutSeconds ?? 30;
    this.#maxOutstanding = Math.max(1, options.maxOutstanding ?? 1_000);
    this.#maxOutstandingBytes = options.maxOutstandingBytes ?? 64 * 1024 * 1024;
    this.#retry = wholePolicy(retryPolicy, { maxRetries: 3, intervalStart: 0, intervalStep: 0.2, intervalMax: 1 });
    this.#deadlines = new DeadlineList(this.#limitSeconds * 1000, system, (job) => this.#onLate(job));
    this.#declared = new DeclaredQueues(connection, this.#limitSeconds);
    this.#plain = new PlainSender(connection, this.#log);
    connection.on('open', this.#onOpen);
    connection.on('lost', this.#onLost);
    connection.on('retrying', this.#onRetrying);
    connection.on('unblocked', this.#onFlow);
    connection.on('heard', this.#onFlow);
  }

  /** Publications not yet settled, sent or waiting. */
  get pending(): number {
    return this.#unsettled;
  }

  /**
   * Resolves when the broker has confirmed the message and no `mandatory` message came back. Without `confirm`: when it
   * is written to a connection that takes messages; or dropped for want of one, where it may be.
   *
   * @throws {PublishTimeoutError} with no confirm in time. @throws {PublishNackedError} when the broker refused it.
   * @throws {UnroutableError} when it is mandatory and no queue took it, or there is no such exchange.
   * @throws {AccessRefused} for want of permission. @throws {EncodeError} when it does not fit AMQP.
   * @throws {OperationalError} when the connection cannot be opened, or was lost too often.
   */
  publish(publication: Publication): Promise<void> {
    if (this.#isClosed) return Promise.reject(new PublishError('The publisher is closed; nothing more is sent.'));
    if (!publication.confirm) {
      const leavesNow = this.#line.isEmpty && this.#plain.isReady;
      if (leavesNow || publication.mayBeDropped === true) return this.#offer(publication);
    }
    return new Promise((resolve, reject) => {
      const job = new Job(publication, resolve, reject);
      this.#unsettled += 1;
      this.#deadlines.add(job, publication.timeoutSeconds);
      if (this.#line.isEmpty && this.#canSend(job)) {
        this.#send(job);
      } else {
        this.#line.push(job);
        this.connection.hurry();
        this.#prepare();
      }
    });
  }

  /**
   * Declares queues once for each opening of the connection; what is declared costs nothing. Messages to these queues
   * that come back are sent again after the queue was declared anew. Waits as long as a publish may take, or so many
   * seconds.
   *
   * @throws {DeclarationMismatch} @throws {AccessRefused} @throws {PublishTimeoutError} @throws {OperationalError}
   */
  declare(queues: readonly Queue[], timeoutSeconds?: number): Promise<void> {
    return this.#declared.declare(queues, timeoutSeconds);
  }

  /** Whether `declare` has nothing left to do for it. */
  isDeclared(queue: Queue): boolean {
    return this.#declared.has(queue);
  }

  /** Waits until everything is settled, at most `limitMs` (default 2,000), rejects the rest, and leaves the connection open. */
  close(options: { limitMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.limitMs ?? politeCloseLimitMs);
    return this.#closing;
  }

  #offer(publication: Publication): Promise<void> {
    try {
      this.#plain.offer(publication);
      return done;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #canSend({ publication }: Job): boolean {
    if (!publication.confirm) return this.#plain.isReady;
    const wire = this.#wire;
    if (wire === undefined || this.connection.state !== 'open') return false;
    const { size } = wire.window;
    if (size >= this.#maxOutstanding || (this.#suspects > 0 && size > 0)) return false;
    return (
      (size === 0 || wire.bytes + publication.envelope.body.length <= this.#maxOutstandingBytes) &&
      (this.#heldUntil === 0 || this.#system.monotonic() >= this.#heldUntil)
    );
  }

  /** `#canSend` must hold. */
  #send(job: Job): void {
    const { publication } = job;
    const wire = this.#wire;
    try {
      if (!publication.confirm || wire === undefined) {
        this.#plain.add(publication);
        this.#settle(job);
        return;
      }
      wire.outbox.add(publication);
      wire.window.push(job);
      wire.bytes += publication.envelope.body.length;
      job.state = 'sent';
      const { metrics } = this.connection;
      metrics.published += 1;
      if (job.isRepeat) metrics.republished += 1;
      if (this.#suspects > 0) this.#suspects -= 1;
    } catch (error) {
      this.#settle(job, asError(error));
    }
  }

  readonly #pump = (): void => {
    for (let job = this.#line.first; job !== undefined; job = this.#line.first) {
      if (job.state !== 'settled') {
        if (!this.#canSend(job)) break;
        this.#send(job);
      }
      this.#line.shift();
    }
    if (!this.#line.isEmpty) this.#prepare();
  };

  #settle(job: Job, error?: Error): void {
    if (job.state === 'settled') return;
    job.state = 'settled';
    this.#deadlines.delete(job);
    if (error === undefined) job.resolve();
    else job.reject(error);
    this.#onSettled();
  }

  #onSettled(): void {
    this.#unsettled -= 1;
    if (this.#unsettled === 0) this.#onIdle?.();
  }

  #onLate(job: Job): void {
    const wasSent = job.state === 'sent';
    job.state = 'settled';
    this.connection.metrics.timedOut += 1;
    const why = wasSent ? 'it was sent, and the broker has not confirmed it: it may be there or not' : this.#obstacle();
    const seconds = job.publication.timeoutSeconds ?? this.#limitSeconds;
    const text = `A publish to ${addressOf(job)} was not done within ${seconds} s: ${why}.`;
    job.reject(new PublishTimeoutError(text, wasSent ? undefined : { cause: this.connection.lastError }));
    while (this.#line.first?.state === 'settled') this.#line.shift();
    this.#onSettled();
  }

  /** Why nothing is being sent. */
  #obstacle(): string {
    const { state, blockedReason, url, lastError } = this.connection;
    if (blockedReason !== undefined) return `it was not sent, the broker takes no messages (${blockedReason})`;
    if (state === 'open') return `it was not sent, ${this.#maxOutstanding} others wait for their confirm`;
    return `it was not sent, the connection to ${url} is ${state}${lastError === undefined ? '' : ` (${lastError.message})`}`;
  }

  /** Sees to it that there is a channel to send on, or that somebody hears why there is none. */
  #prepare(): void {
    if (this.#isOpening || this.#isClosed) return;
    const isPlainWanted = this.#line.first?.publication.confirm === false;
    if (isPlainWanted ? this.#plain.isReady : this.#wire !== undefined) return;
    this.#isOpening = true;
    this.#open(isPlainWanted).finally(() => {
      this.#isOpening = false;
      this.#pump();
    });
  }

  async #open(isPlainWanted: boolean): Promise<void> {
    try {
      await this.connection.connect();
      if (isPlainWanted) await this.#plain.prepare();
      else await this.#openWire();
      if (isPlainWanted && !this.#plain.isReady) await this.#system.sleep(channelRestMs);
    } catch (error) {
      const { state } = this.connection;
      if (state === 'idle' || state === 'closed') {
        for (const job of this.#line.takeAll()) this.#settle(job, asError(error));
      } else if (this.connection.isOpen) {
        this.#log.warn({ err: error }, 'No channel to publish on; trying again');
        await this.#system.sleep(channelRestMs);
      }
    }
  }

  async #openWire(): Promise<void> {
    const opened = await this.connection.openChannel({ confirm: true });
    const { channel } = opened;
    const wire: Wire = { opened, outbox: createOutbox(opened), window: new ConfirmWindow(), bytes: 0 };
    const onConfirmed = (job: Job): void => {
      wire.bytes -= job.publication.envelope.body.length;
      this.connection.metrics.confirmed += 1;
      if (job.state === 'settled') return;
      if (job.returned === undefined) this.#settle(job);
      else this.#onReturned(job, job.returned);
    };
    const onRefused = (job: Job): void => {
      wire.bytes -= job.publication.envelope.body.length;
      this.connection.metrics.nacked += 1;
      this.#settle(job, nacked(job));
    };
    channel.on('ack', ({ deliveryTag, multiple }) => {
      wire.window.settle(deliveryTag, multiple, onConfirmed);
      if (!this.#line.isEmpty) this.#pump();
    });
    channel.on('nack', ({ deliveryTag, multiple }) => {
      wire.window.settle(deliveryTag, multiple, onRefused);
      if (!this.#line.isEmpty) this.#pump();
    });
    channel.on('return', (message) => {
      this.connection.metrics.returned += 1;
      const job = wire.window.find((one) => one.returned === undefined && isSameMessage(one.publication, message));
      if (job === undefined) this.#log.warn({ routingKey: message.fields.routingKey }, 'An unknown message came back');
      else job.returned = returnedOf(message.fields);
    });
    channel.on('close', () => this.#onWireGone(wire));
    if (opened.error !== undefined || opened.link.isOver) throw opened.error ?? opened.link.lastError;
    this.#wire = wire;
  }

  #onReturned(job: Job, returned: Returned): void {
    job.returned = undefined;
    this.#declareAgain(job, unroutable(job, returned));
  }

  /** When the queue is one we declared, it was deleted since: once more, then the message again. */
  #declareAgain(job: Job, error: Error): void {
    const owners = job.hasRedeclared ? [] : this.#declared.ownersOf(job.publication);
    if (owners.length === 0) {
      this.#settle(job, error);
      return;
    }
    job.hasRedeclared = true;
    job.state = 'waiting';
    this.#comingBack.add(job);
    this.#log.warn({ queues: owners.map(({ name }) => name) }, 'A queue is gone; declaring it again');
    const sendAgain = (): void => {
      if (job.state === 'settled') return;
      job.isRepeat = true;
      this.#line.unshift([job]);
      this.#pump();
    };
    this.#declared
      .declareAgain(owners)
      .finally(() => this.#comingBack.delete(job))
      .then(sendAgain, (reason: unknown) => this.#settle(job, asError(reason)));
  }

  #onWireGone(wire: Wire): void {
    if (this.#wire !== wire) return;
    this.#wire = undefined;
    wire.outbox.end();
    const jobs = wire.window.items().filter(({ state }) => state === 'sent');
    const { error, link } = wire.opened;
    // The broker's own word on the channel is about one message; the end of the connection is about none.
    const again =
      error === undefined || link.isOver ? this.#afterLoss(jobs, link.lastError) : this.#afterRefusal(jobs, error);
    for (const job of again) {
      job.state = 'waiting';
      job.isRepeat = true;
    }
    this.#line.unshift(again);
    if (!this.#line.isEmpty) this.#prepare();
  }

  /** Those that may be sent again. */
  #afterLoss(jobs: readonly Job[], cause: unknown): Job[] {
    const again: Job[] = [];
    let waitSeconds = 0;
    for (const job of jobs) {
      if (job.returned !== undefined) {
        this.#onReturned(job, job.returned);
        continue;
      }
      job.timesLost += 1;
      const { maxRetries, intervalStart, intervalStep, intervalMax } = wholePolicy(job.publication.retry, this.#retry);
      if (maxRetries === null || job.timesLost <= maxRetries) again.push(job);
      else this.#settle(job, lostTooOften(job, cause));
      waitSeconds = Math.max(waitSeconds, Math.min(intervalStart + intervalStep * (job.timesLost - 1), intervalMax));
    }
    if (again.length > 0 && waitSeconds > 0) this.#hold(waitSeconds * 1000);
    return again;
  }

  /** One of the messages closed the channel: it is told, the others are sent again. */
  #afterRefusal(jobs: readonly Job[], error: Error): Job[] {
    const code = codeOf(error);
    const exchange = exchangeAtFault(error);
    const isAtFault = (job: Job): boolean => job.publication.exchange === exchange;
    if (exchange !== undefined && jobs.some(isAtFault)) {
      for (const job of jobs.filter(isAtFault)) {
        if (code === replyCode.accessRefused) this.#settle(job, explainChannelError(error, `Exchange '${exchange}'`));
        else this.#declareAgain(job, missingExchange(exchange, error));
      }
      return jobs.filter((job) => !isAtFault(job));
    }
    const [only] = jobs;
    if (jobs.length === 1 && only !== undefined) {
      this.#settle(only, refusal(only, error));
      return [];
    }
    this.#log.warn(
      { err: error, messages: jobs.length },
      'One of several messages closed the channel; sending them one by one',
    );
    this.#suspects = jobs.length;
    return [...jobs];
  }

  #hold(delayMs: number): void {
    this.#heldUntil = this.#system.monotonic() + delayMs;
    this.#system.after(delayMs, () => {
      this.#heldUntil = 0;
      this.#pump();
    });
  }

  async #close(limitMs: number): Promise<void> {
    this.#isClosed = true;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      if (this.#unsettled === 0) resolve();
    });
    await within(idle, limitMs, this.#system, () => new Error('not idle')).catch(() => undefined);
    const left = [...(this.#wire?.window.items() ?? []), ...this.#line.takeAll(), ...this.#comingBack];
    for (const job of left) {
      this.#settle(
        job,
        new PublishError(`The publisher was closed before a message to ${addressOf(job)} was confirmed.`),
      );
    }
    const { connection } = this;
    connection.off('open', this.#onOpen);
    connection.off('lost', this.#onLost);
    connection.off('retrying', this.#onRetrying);
    connection.off('unblocked', this.#onFlow);
    connection.off('heard', this.#onFlow);
    this.#deadlines.close();
    const wire = this.#wire;
    this.#wire = undefined;
    wire?.outbox.flush();
    wire?.outbox.end();
    const goodbye = async (): Promise<void> => {
      await this.#plain.close();
      if (wire !== undefined && connection.isOpen) await wire.opened.channel.close();
    };
    const link = wire?.opened.link;
    const late = (): Error => {
      if (link !== undefined) link.isMute = true;
      return new OperationalError('no answer');
    };
    await within(goodbye(), link?.isMute === true ? 0 : politeCloseLimitMs, this.#system, late).catch(() => undefined);
  }

  readonly #onOpen = (): void => {
    if (!this.#line.isEmpty) this.#prepare();
  };

  readonly #onLost = (): void => {
    this.#plain.onLost();
    if (this.#wire !== undefined) this.#onWireGone(this.#wire);
  };

  readonly #onRetrying = (): void => {
    if (!this.#line.isEmpty) this.connection.hurry();
  };

  readonly #onFlow = (): void => {
    if (!this.#line.isEmpty) this.#pump();
  };
}
