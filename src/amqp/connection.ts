/**
 * The supervisor of one connection to a broker. It alone opens, closes and retries it; publishers and consumers use
 * `openChannel` and listen for news. Two of them, one for publishing and one for consuming, keep an alarm on the first
 * from stopping acknowledgements on the second.
 *
 *            connect()                opened                  alarm
 *     idle ────────────▶ connecting ─────────▶ open ◀──────────────────▶ blocked
 *      ▲                   │  ▲                 │ ▲                         │
 *      │ retries used up   │  │    lost         │ │ bytes again             │
 *      └───────────────────┘  │                 ▼ │                         │
 *                             └────────────── suspect ◀─────────────────────┘
 *     any ── close() ──▶ closed              (silent for more than a heartbeat;
 *                                             destroyed before two have passed)
 *
 * Each opening has its number, the epoch; nothing that belongs to one epoch is used in another.
 */
import { EventEmitter } from 'node:events';
import type { Channel, ConfirmChannel } from 'amqplib';
import { backoffMs } from '../core/backoff.ts';
import { CeleryError, ImproperlyConfigured, OperationalError } from '../core/errors.ts';
import type { Logger, System } from '../core/system.ts';
import { asError, needsAPerson } from './broker-errors.ts';
import { BrokerList, type Failover } from './broker-list.ts';
import type { BrokerMemory } from './broker-memory.ts';
import { Link, type LinkNews, type LinkSettings, openLink } from './link.ts';
import { type AmqpMetrics, createMetrics } from './metrics.ts';
import { type BrokerUrl, hostAndPort, maskedUrl, type TlsOptions } from './url.ts';

export type ConnectionState = 'idle' | 'connecting' | 'open' | 'blocked' | 'suspect' | 'closed';

export interface ConnectionRetry {
  /** Rounds over all URLs after the first failed one, before the first `connect()` rejects. Default: no limit. */
  readonly startup?: number;
  /** The same after a loss; 0: never connect again by itself. Default: no limit. */
  readonly later?: number;
  /** The first wait, before jitter. Default 100. */
  readonly firstDelayMs?: number;
  /** Default 30,000. */
  readonly longestDelayMs?: number;
}

export interface ConnectionOptions {
  /** One URL, several between `;`, or a list: the next is tried when one fails. */
  readonly urls: string | readonly string[];
  /** Shown by the broker's management as the name of the connection. */
  readonly name: string;
  /** What is asked for; the lower of both sides wins. 0 is refused unless `allowNoHeartbeat`. Default 30. */
  readonly heartbeatSeconds?: number;
  readonly allowNoHeartbeat?: boolean;
  /** For each attempt, TLS and login included. Default 4. */
  readonly connectTimeoutSeconds?: number;
  readonly retry?: ConnectionRetry;
  /** TLS also for `amqp://` URLs, or how. `true`: with the defaults. */
  readonly tls?: boolean | TlsOptions;
  /** Default `PLAIN`. `EXTERNAL`: by client certificate. */
  readonly loginMethod?: 'PLAIN' | 'AMQPLAIN' | 'EXTERNAL';
  /** The order of the URLs: as given, shuffled anew for each connection, or as a function picks them. Default `round-robin`. */
  readonly failover?: Failover;
  /** More of what the broker's management shows about the client. */
  readonly clientProperties?: Readonly<Record<string, unknown>>;
  /** Larger messages are not read: consumers are told of their size instead. Default: no limit. */
  readonly maxBodyBytes?: number;
  /** Shared by connections to the same brokers: those that are opened later begin with one that answers. */
  readonly memory?: BrokerMemory;
  /** Default: counters of its own. */
  readonly metrics?: AmqpMetrics;
  readonly system: System;
}

export interface ConnectionEvents {
  open: [news: { epoch: number; url: string; isReconnect: boolean }];
  lost: [news: { epoch: number; error: OperationalError }];
  /** A round over all URLs failed; the next begins after `delayMs`. */
  retrying: [news: { attempt: number; delayMs: number; error: CeleryError }];
  blocked: [reason: string];
  unblocked: [];
  /** Nothing came for more than a heartbeat. */
  suspect: [news: { silentMs: number }];
  /** Something came after all: no longer suspect. */
  heard: [];
  /** The retries are used up, or trying again cannot help; the connection is idle. */
  failed: [error: CeleryError];
  closed: [];
}

type Life =
  | { readonly kind: 'idle' }
  | { readonly kind: 'connecting'; readonly abort: AbortController; readonly opened: Promise<void> }
  | { readonly kind: 'open'; readonly link: Link; readonly since: number; isSuspect: boolean }
  | { readonly kind: 'closed' };

/** A connection that lived this long ended the row of failures before it. */
const settledAfterMs = 5_000;
/** However much of a hurry somebody is in. */
const shortestRestMs = 1_000;

/**
 * One connection to RabbitMQ, kept open until `close()`.
 *
 * @throws {ImproperlyConfigured} on URLs that cannot be read, and on a heartbeat of 0.
 * @example
 * const connection = new Connection({ urls: 'amqp://localhost//', name: 'reports', system: nodeSystem() });
 * await connection.connect();
 */
export class Connection extends EventEmitter<ConnectionEvents> {
  readonly name: string;
  readonly metrics: AmqpMetrics;
  /** For this room only: the world it was given. */
  readonly system: System;
  readonly #brokers: BrokerList;
  readonly #settings: LinkSettings;
  readonly #memory: BrokerMemory | undefined;
  readonly #retry: Required<ConnectionRetry>;
  readonly #log: Logger;
  #life: Life = { kind: 'idle' };
  #epoch = 0;
  #channelEpoch = 0;
  #failures = 0;
  #lastError: CeleryError | undefined;
  #blockedReason: string | undefined;
  #nap: { readonly abort: AbortController; isHurried: boolean } | undefined;
  #lastAttemptAt = Number.NEGATIVE_INFINITY;

  constructor(options: ConnectionOptions) {
    super();
    this.setMaxListeners(0); // each consumed queue listens
    this.system = options.system;
    this.#log = options.system.log.child({ name: 'celery.amqp.connection' });
    this.name = options.name;
    this.metrics = options.metrics ?? createMetrics();
    this.#memory = options.memory;
    this.#brokers = new BrokerList(options.urls, options.failover ?? 'round-robin', options.system);
    this.#retry = {
      startup: options.retry?.startup ?? Number.POSITIVE_INFINITY,
      later: options.retry?.later ?? Number.POSITIVE_INFINITY,
      firstDelayMs: options.retry?.firstDelayMs ?? 100,
      longestDelayMs: options.retry?.longestDelayMs ?? 30_000,
    };
    this.#settings = {
      name: options.name,
      heartbeatSeconds: heartbeatOf(options, this.#brokers.all),
      connectTimeoutSeconds: options.connectTimeoutSeconds ?? 4,
      tls: tlsOf(options.tls),
      loginMethod: options.loginMethod ?? 'PLAIN',
      clientProperties: options.clientProperties ?? {},
      maxBodyBytes: options.maxBodyBytes,
      system: options.system,
    };
  }

  get state(): ConnectionState {
    const life = this.#life;
    if (life.kind !== 'open') return life.kind;
    if (life.isSuspect) return 'suspect';
    return this.#blockedReason === undefined ? 'open' : 'blocked';
  }

  /** Channels can be opened: open, blocked or suspect. */
  get isOpen(): boolean {
    return this.#life.kind === 'open';
  }

  /** Grows with every opening; 0 before the first. */
  get epoch(): number {
    return this.#epoch;
  }

  /** What the broker said when it raised the alarm that stops publishing; undefined: there is none. */
  get blockedReason(): string | undefined {
    return this.#blockedReason;
  }

  /** Why it was lost, or could not be opened, the last time; undefined: it never failed. */
  get lastError(): CeleryError | undefined {
    return this.#lastError;
  }

  /** The broker it is connected to, or is to try next; the password masked. */
  get url(): string {
    return this.#life.kind === 'open' ? maskedUrl(this.#life.link.url) : maskedUrl(this.#brokers.next);
  }

  /** In seconds, as both sides agreed; undefined when not connected. 0: none. */
  get heartbeatSeconds(): number | undefined {
    return this.#life.kind === 'open' ? this.#life.link.insides?.heartbeatSeconds : undefined;
  }

  /**
   * Resolves when the connection is open. Calls share one attempt; aborting `signal` ends this wait only.
   *
   * @throws {AccessRefused} when every broker refuses the credentials or the virtual host (no retries at startup).
   * @throws {OperationalError} when the retries are used up, or the connection was closed.
   */
  async connect(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const life = this.#life;
    switch (life.kind) {
      case 'open':
        return;
      case 'closed':
        throw new OperationalError(`The connection '${this.name}' was closed.`);
      case 'connecting':
        return unlessAborted(life.opened, signal);
      case 'idle':
        return unlessAborted(this.#start(this.#epoch === 0 ? this.#retry.startup : this.#retry.later), signal);
    }
  }

  /** Somebody wants to publish: a wait between two attempts ends, but not before a second has passed since the last. */
  hurry(): void {
    const nap = this.#nap;
    if (nap === undefined || nap.isHurried) return;
    nap.isHurried = true;
    const restMs = shortestRestMs - (this.system.monotonic() - this.#lastAttemptAt);
    if (restMs <= 0) nap.abort.abort();
    else this.system.after(restMs, () => nap.abort.abort());
  }

  /** For good: says goodbye within two seconds, or destroys the socket. */
  async close(): Promise<void> {
    const life = this.#life;
    if (life.kind === 'closed') return;
    this.#life = { kind: 'closed' };
    this.#blockedReason = undefined;
    if (life.kind === 'connecting') {
      life.abort.abort();
      this.#nap?.abort.abort();
      await life.opened.catch(() => undefined);
    }
    if (life.kind === 'open') await life.link.close();
    this.#tell('closed');
  }

  /**
   * For this room only: a channel, with the link it is on and a number no other channel has.
   *
   * @throws {OperationalError} when the connection is not open or the broker gives none.
   */
  async openChannel(options: { confirm: true }): Promise<OpenedChannel<ConfirmChannel>>;
  async openChannel(options?: { confirm?: boolean }): Promise<OpenedChannel<Channel>>;
  async openChannel(options: { confirm?: boolean } = {}): Promise<OpenedChannel<Channel>> {
    const life = this.#life;
    if (life.kind !== 'open') throw new OperationalError(`The connection '${this.name}' is not open (${this.state}).`);
    const channel = await life.link.openChannel(options.confirm === true);
    const opened: OpenedChannel<Channel> = {
      channel,
      link: life.link,
      epoch: ++this.#channelEpoch,
      error: undefined,
      system: this.system,
    };
    channel.on('error', (error) => {
      opened.error = error;
      this.metrics.channelErrors += 1;
    });
    return opened;
  }

  #start(limit: number): Promise<void> {
    const abort = new AbortController();
    const opened = this.#open(limit, abort.signal);
    opened.catch(() => undefined); // told as `failed`; whoever waits hears it too
    this.#life = { kind: 'connecting', abort, opened };
    return opened;
  }

  async #open(limit: number, signal: AbortSignal): Promise<void> {
    await undefined; // `#life` is set before anything happens
    const isAgain = this.#epoch > 0;
    if (isAgain) await this.#sleep(this.#nextDelayMs(), signal); // all clients of one broker lose it at one moment
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const outcome = await this.#round(signal);
      if (signal.aborted) {
        if (outcome instanceof Link) await outcome.close();
        break;
      }
      if (outcome instanceof Link) return this.#onOpen(outcome);
      const isHopeless = needsAPerson(outcome) && !isAgain; // later it may be a broker that is still starting
      if (attempt >= limit || isHopeless) throw this.#fail(outcome);
      const delayMs = this.#nextDelayMs();
      this.#log.warn({ err: outcome, delaySeconds: delayMs / 1000 }, 'The broker cannot be reached; trying again');
      const nap = this.#sleep(delayMs, signal);
      this.#tell('retrying', { attempt: attempt + 1, delayMs, error: outcome }); // who is in a hurry may say so
      await nap;
    }
    throw new OperationalError(`The connection '${this.name}' was closed while connecting.`);
  }

  #fail(error: CeleryError): CeleryError {
    this.#life = { kind: 'idle' };
    this.#failures = 0;
    if (this.#epoch > 0) this.#log.error({ err: error }, 'Connecting to the broker again was given up');
    this.#tell('failed', error);
    return error;
  }

  /** Every URL once. The link, or why the last of them failed; a refusal is worth more than silence. */
  async #round(signal: AbortSignal): Promise<Link | CeleryError> {
    const errors: CeleryError[] = [];
    if (this.#epoch === 0) this.#brokers.beginAt(this.#memory?.indexIn(this.#brokers.all));
    for (let tried = 0; tried < this.#brokers.all.length && !signal.aborted; tried += 1) {
      const url = this.#brokers.next;
      try {
        const link = await openLink(url, this.#settings, this.#news(), signal);
        if (link.isOver) throw link.lastError;
        this.#memory?.answered(url);
        return link;
      } catch (thrown) {
        const error = thrown instanceof CeleryError ? thrown : new OperationalError(asError(thrown).message);
        errors.push(error);
        this.#memory?.failed(url);
        this.#lastError = error;
        this.metrics.connectFailures += 1;
        this.#brokers.turn();
        if (!signal.aborted) this.#log.debug({ err: error, url: maskedUrl(url) }, 'A broker could not be reached');
      } finally {
        this.#lastAttemptAt = this.system.monotonic();
      }
    }
    return errors.find(needsAPerson) ?? errors.at(-1) ?? new OperationalError('No broker was tried.');
  }

  #nextDelayMs(): number {
    const { firstDelayMs, longestDelayMs } = this.#retry;
    const backoff = { firstMs: firstDelayMs, longestMs: longestDelayMs };
    return backoffMs(this.#failures++, backoff, () => this.system.random());
  }

  async #sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    this.#nap = { abort: new AbortController(), isHurried: false };
    await this.system.sleep(delayMs, this.#nap.abort.signal).catch(() => undefined);
    this.#nap = undefined;
  }

  #onOpen(link: Link): void {
    const isReconnect = this.#epoch > 0;
    this.#epoch += 1;
    this.metrics.connects += 1;
    if (isReconnect) this.metrics.reconnects += 1;
    this.#life = { kind: 'open', link, since: this.system.monotonic(), isSuspect: false };
    const url = maskedUrl(link.url);
    this.#log.info(
      { url, epoch: this.#epoch },
      isReconnect ? 'Connected to the broker again' : 'Connected to the broker',
    );
    if (link.insides?.isBlocked === true) this.#onBlocked('an alarm was in force when we connected');
    this.#tell('open', { epoch: this.#epoch, url, isReconnect });
  }

  #news(): LinkNews {
    return {
      onLost: (error) => this.#onLost(error),
      onBlocked: (reason) => this.#onBlocked(reason),
      onUnblocked: () => this.#onUnblocked(),
      onSilent: (silentMs) => {
        if (this.#life.kind !== 'open') return;
        this.#life.isSuspect = true;
        this.#log.warn({ silentSeconds: silentMs / 1000 }, 'The broker has gone silent');
        this.#tell('suspect', { silentMs });
      },
      onHeard: () => {
        if (this.#life.kind !== 'open') return;
        this.#life.isSuspect = false;
        this.#tell('heard');
      },
    };
  }

  #onLost(error: OperationalError): void {
    const life = this.#life;
    if (life.kind !== 'open') return;
    // After silence the same host would only be silent again.
    if (life.isSuspect) this.#brokers.turn();
    if (this.system.monotonic() - life.since >= settledAfterMs) this.#failures = 0;
    this.#blockedReason = undefined;
    this.#lastError = error;
    this.#log.warn({ err: error, epoch: this.#epoch }, 'The connection to the broker was lost');
    if (this.#retry.later > 0) this.#start(this.#retry.later);
    else this.#life = { kind: 'idle' };
    this.#tell('lost', { epoch: this.#epoch, error });
    if (this.#retry.later <= 0) this.#tell('failed', error);
  }

  #onBlocked(reason: string): void {
    if (this.#life.kind === 'closed') return;
    this.#blockedReason = reason;
    this.#log.warn({ reason }, 'The broker has stopped taking messages (alarm); publishing waits');
    this.#tell('blocked', reason);
  }

  #onUnblocked(): void {
    if (this.#blockedReason === undefined) return;
    this.#blockedReason = undefined;
    this.#log.info('The broker takes messages again');
    this.#tell('unblocked');
  }

  /** A listener that throws is logged, not obeyed. */
  #tell<K extends keyof ConnectionEvents>(event: K, ...news: ConnectionEvents[K]): void {
    try {
      (this as EventEmitter).emit(event, ...news);
    } catch (error) {
      this.#log.error({ err: error, event }, 'A listener of the connection failed');
    }
  }
}

/** A channel and what must be known about it. */
export interface OpenedChannel<C extends Channel> {
  readonly channel: C;
  readonly link: Link;
  /** No two channels of a connection have the same. */
  readonly epoch: number;
  /** Why the broker closed it. */
  error: Error | undefined;
  readonly system: System;
}

/** As `work`, unless `signal` is aborted first. */
function unlessAborted(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function heartbeatOf(options: ConnectionOptions, urls: readonly BrokerUrl[]): number {
  const heartbeatSeconds = options.heartbeatSeconds ?? 30;
  const isOff = heartbeatSeconds <= 0 || urls.some((url) => url.heartbeatSeconds === 0);
  if (isOff && options.allowNoHeartbeat !== true) {
    const where = urls.map(hostAndPort).join(', ');
    throw new ImproperlyConfigured(
      `A heartbeat of 0 to ${where} would leave dead connections unnoticed for ever. Set brokerHeartbeat to 1 s or more.`,
    );
  }
  return heartbeatSeconds <= 0 ? 0 : Math.max(1, Math.round(heartbeatSeconds)); // whole seconds on the wire
}

function tlsOf(tls: boolean | TlsOptions | undefined): TlsOptions | undefined {
  if (tls === true) return {};
  return tls === false ? undefined : tls;
}
