/**
 * What a worker or a client announces (celery-protocol.md section 14). Nobody waits for an event: `send` never throws and
 * never blocks, publications are neither confirmed nor mandatory. Task events are gathered and leave as lists: the first
 * after a rest with its turn of the loop, under load every few milliseconds or when a list is full. While there is no
 * connection a bounded number is kept for the next one.
 */
import type { Publisher, Queue } from '../amqp/index.ts';
import type { Envelope } from '../core/envelope.ts';
import type { LogicalClock } from '../core/logical-clock.ts';
import { redactText } from '../core/redact.ts';
import type { System } from '../core/system.ts';
import { type Codec, type EventRecord, encodeEvent, encodeEvents, eventRoutingKey } from '../message/index.ts';
import { eventExchange, eventExchangeOnly } from './topology.ts';

export interface DispatcherOptions {
  readonly publisher: Publisher;
  readonly codec: Codec;
  readonly clock: LogicalClock;
  readonly system: System;
  /** The node that speaks: `celery@host`, `gen123@host`. */
  readonly hostname: string;
  /** `eventExchange`. Default: `celeryev`. */
  readonly exchange?: string | undefined;
  /** `eventSerializer`. Default: `json`. */
  readonly serializer?: string | undefined;
  /** Which groups go out, `worker` and `task` say. Default: all. */
  readonly groups?: Iterable<string> | undefined;
  /** Default: true. */
  readonly isEnabled?: boolean | undefined;
  /** Gather task events and send them as lists. Workers do, clients do not. Default: false. */
  readonly gathersTaskEvents?: boolean | undefined;
}

/** The most task events in one message, as in Celery. */
const mostInList = 24;
/** Between two lists under load that are not full. */
const gatherMs = 5;
/** Events kept while there is no connection; the oldest go first. */
const mostKept = 1_000;

export class EventDispatcher {
  readonly hostname: string;
  readonly clock: LogicalClock;
  readonly #options: DispatcherOptions;
  readonly #exchange: string;
  readonly #topology: readonly [Queue];
  readonly #utcoffset: number;
  /** Undefined: every group that is not muted. */
  readonly #groups: Set<string> | undefined;
  readonly #muted = new Set<string>();
  readonly #gathered: EventRecord[] = [];
  readonly #kept: EventRecord[] = [];
  readonly #onOpen = (): void => this.#sendKept();
  #cancelGathering: (() => void) | undefined;
  #flushedAt = Number.NEGATIVE_INFINITY;
  #isEnabled: boolean;
  #isClosed = false;
  #declaring: Promise<void> | undefined;
  /** The connection's epoch in which the exchange was declared. */
  #declaredIn = 0;
  #dropped = 0;

  constructor(options: DispatcherOptions) {
    const { publisher, system } = options;
    this.#options = options;
    this.hostname = options.hostname;
    this.clock = options.clock;
    this.#exchange = options.exchange ?? eventExchange;
    this.#topology = [eventExchangeOnly(this.#exchange)];
    // Hours west of UTC, floored as Python does: UTC+2 is -2.
    this.#utcoffset = Math.floor(new Date(system.now()).getTimezoneOffset() / 60);
    this.#groups = options.groups === undefined ? undefined : new Set(options.groups);
    this.#isEnabled = options.isEnabled ?? true;
    publisher.connection.on('open', this.#onOpen);
  }

  get isEnabled(): boolean {
    return this.#isEnabled;
  }

  /** Events that were given up: no connection for too long, or no wire form. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Whether events of this group go out. A hot path asks before it builds one. */
  sends(group: string): boolean {
    if (!this.#isEnabled || this.#isClosed || this.#muted.has(group)) return false;
    return this.#groups === undefined || this.#groups.has(group);
  }

  enable(): void {
    this.#isEnabled = true;
  }

  disable(): void {
    this.flush();
    this.#isEnabled = false;
  }

  /** Lets a group through from now on; false when it went through already. */
  addGroup(group: string): boolean {
    const wasMuted = this.#muted.delete(group);
    if (this.#groups === undefined) return wasMuted;
    const isNew = !this.#groups.has(group);
    this.#groups.add(group);
    return isNew || wasMuted;
  }

  /** Keeps a group back from now on; false when it was kept back already. */
  dropGroup(group: string): boolean {
    if (group === 'task') this.flush();
    if (this.#groups !== undefined) return this.#groups.delete(group);
    const isNew = !this.#muted.has(group);
    this.#muted.add(group);
    return isNew;
  }

  /**
   * Announces something. Fields of Celery's own events are camelCase (`rootId`, `swIdent`), those of custom ones stay as given.
   * A `blind` event leaves the logical clock alone. Celery: `EventDispatcher.send`.
   */
  send(type: string, fields: Readonly<Record<string, unknown>> = {}, options: { blind?: boolean } = {}): void {
    const dash = type.indexOf('-');
    const group = dash < 0 ? type : type.slice(0, dash);
    if (!this.sends(group)) return;
    const { system, gathersTaskEvents } = this.#options;
    const event: Writable = {
      hostname: this.hostname,
      utcoffset: this.#utcoffset,
      pid: system.pid,
      timestamp: system.now(),
      clock: options.blind === true ? this.clock.value : this.clock.forward(),
      type,
    };
    const told = group === 'task' ? withoutSecrets(fields) : fields;
    for (const name of Object.keys(told)) if (name !== 'type' && name !== 'clock') event[name] = told[name];
    if (group === 'task' && gathersTaskEvents === true) this.#gather(event);
    else this.#publish([event], eventRoutingKey(type), () => this.#encodeOne(event));
  }

  /** Sends what is gathered, now. */
  flush(): void {
    this.#cancelGathering?.();
    this.#cancelGathering = undefined;
    this.#flushedAt = this.#options.system.monotonic();
    while (this.#gathered.length > 0) this.#publishList(this.#gathered.splice(0, mostInList));
  }

  /** Resolves when what was announced so far is on its way; at once where there is no connection. */
  async isOut(): Promise<void> {
    await this.#declaring;
  }

  /** Sends what is gathered and takes nothing more. The publisher stays open: it belongs to whoever gave it. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.flush();
    await this.#declaring; // what was announced before the exchange was there goes out first
    this.#isClosed = true;
    this.#kept.length = 0;
    this.#options.publisher.connection.off('open', this.#onOpen);
  }

  #gather(event: EventRecord): void {
    this.#gathered.push(event);
    if (this.#gathered.length >= mostInList) this.flush();
    else this.#cancelGathering ??= this.#flushSoon();
  }

  #flushSoon(): () => void {
    const { system } = this.#options;
    const waitMs = this.#flushedAt + gatherMs - system.monotonic();
    if (waitMs > 0) return system.after(waitMs, () => this.flush());
    const turn = setImmediate(() => this.flush());
    return () => clearImmediate(turn);
  }

  #publishList(events: readonly EventRecord[]): void {
    const { codec, serializer } = this.#options;
    this.#publish(events, 'task.multi', () => encodeEvents(events, codec, serializer));
  }

  #encodeOne(event: EventRecord): Envelope {
    return encodeEvent(event, this.#options.codec, this.#options.serializer);
  }

  #publish(events: readonly EventRecord[], routingKey: string, encode: () => Envelope): void {
    const { publisher } = this.#options;
    if (!publisher.connection.isOpen || this.#declaring !== undefined) {
      this.#keep(events);
      return;
    }
    if (this.#declaredIn !== publisher.connection.epoch) {
      this.#keep(events);
      this.#declaring = this.#declare();
      return;
    }
    try {
      const publication = {
        envelope: encode(),
        exchange: this.#exchange,
        routingKey,
        confirm: false,
        mayBeDropped: true,
        mandatory: false,
      };
      publisher.publish(publication).catch((error: unknown) => this.#giveUp(events, error));
    } catch (error) {
      this.#giveUp(events, error);
    }
  }

  /** The exchange must be there first: publishing to a missing one would cost the channel. */
  async #declare(): Promise<void> {
    const { publisher } = this.#options;
    const { epoch } = publisher.connection;
    try {
      await publisher.declare(this.#topology);
      this.#declaredIn = epoch;
    } catch (error) {
      this.#options.system.log.warn({ err: error, exchange: this.#exchange }, 'Events cannot be sent');
    } finally {
      this.#declaring = undefined;
    }
    if (this.#declaredIn === epoch && !this.#isClosed) this.#sendKept();
  }

  /** A heartbeat of the past tells nobody anything; the rest waits for the next connection. */
  #keep(events: readonly EventRecord[]): void {
    const isOffline = !this.#options.publisher.connection.isOpen;
    this.#kept.push(...events.filter(({ type }) => !isOffline || type !== 'worker-heartbeat'));
    const surplus = this.#kept.length - mostKept;
    if (surplus <= 0) return;
    this.#kept.splice(0, surplus);
    this.#dropped += surplus;
  }

  /** What is gathered at that moment is newer. */
  #sendKept(): void {
    for (const event of [...this.#kept.splice(0), ...this.#gathered.splice(0)]) {
      if (event.type.startsWith('task-') && this.#options.gathersTaskEvents === true) this.#gather(event);
      else this.#publish([event], eventRoutingKey(event.type), () => this.#encodeOne(event));
    }
    this.flush();
  }

  #giveUp(events: readonly EventRecord[], error: unknown): void {
    this.#dropped += events.length;
    this.#options.system.log.debug({ err: error, type: events[0]?.type, count: events.length }, 'Events were not sent');
  }
}

type Writable = { -readonly [Field in keyof EventRecord]: EventRecord[Field] };

/** What callers and tasks put into words: arguments, results, errors. */
const said = ['args', 'kwargs', 'result', 'exception', 'traceback'] as const;

function withoutSecrets(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  let copy: Record<string, unknown> | undefined;
  for (const key of said) {
    const text = fields[key];
    if (typeof text !== 'string') continue;
    const shown = redactText(text);
    if (shown === text) continue;
    copy ??= { ...fields };
    copy[key] = shown;
  }
  return copy ?? fields;
}
