/**
 * One socket to a broker, from the attempt to connect to its end. It watches for silence, and it ends once: whatever
 * the cause, `onLost` is called a single time and the socket is destroyed, never closed politely, because half-open
 * peers do not answer. Nothing here tries again; `connection.ts` does.
 */
import type { Channel, ChannelModel, ConfirmChannel, connect, credentials } from 'amqplib';
import { OperationalError } from '../core/errors.ts';
import type { System } from '../core/system.ts';
import { asError, explainConnectError, explainLoss } from './broker-errors.ts';
import { operationLimitMs, politeCloseLimitMs, within } from './deadline.ts';
import { guardHeaders, type Insides, insidesOf } from './insides.ts';
import { type BrokerUrl, hostAndPort, type TlsOptions } from './url.ts';

export interface LinkSettings {
  readonly name: string;
  readonly heartbeatSeconds: number;
  readonly connectTimeoutSeconds: number;
  readonly tls: TlsOptions | undefined;
  readonly loginMethod: 'PLAIN' | 'AMQPLAIN' | 'EXTERNAL';
  readonly clientProperties: Readonly<Record<string, unknown>>;
  readonly maxBodyBytes: number | undefined;
  readonly system: System;
}

export interface LinkNews {
  onLost(error: OperationalError): void;
  onBlocked(reason: string): void;
  onUnblocked(): void;
  /** Nothing came for more than one heartbeat. */
  onSilent(silentMs: number): void;
  /** Something came after all. */
  onHeard(): void;
}

/** Quarters of a heartbeat without a byte before the peer is suspected, and before it is given up. */
const suspectAfter = 5;
const deadAfter = 7; // 1.75 to 2 heartbeats; amqplib's own check needs up to 3

/**
 * Connects and logs in, within the connect timeout, TLS included.
 *
 * @throws {AccessRefused} on wrong credentials or virtual host. @throws {OperationalError} otherwise.
 */
export async function openLink(
  url: BrokerUrl,
  settings: LinkSettings,
  news: LinkNews,
  signal: AbortSignal,
): Promise<Link> {
  const limitSeconds = url.connectTimeoutSeconds ?? settings.connectTimeoutSeconds;
  const socketEnd = new AbortController(); // aborting destroys the socket, in whatever state it is
  const giveUp = (): void => socketEnd.abort();
  signal.addEventListener('abort', giveUp, { once: true });
  const amqplib = await import('amqplib'); // here: most processes of a pool connect to no broker
  const options = {
    ...tlsOptionsOf(url, settings),
    noDelay: true,
    keepAlive: true,
    signal: socketEnd.signal,
    clientProperties: { product: 'celery-ts', connection_name: settings.name, ...settings.clientProperties },
    credentials: credentialsOf(amqplib.credentials, url, settings),
  } as Parameters<typeof connect>[1]; // `signal` is an option of the socket that amqplib's types leave out
  // Keys that cannot be used throw at once.
  const attempt = Promise.resolve().then(() => amqplib.connect(addressOf(url, settings), options));
  try {
    const late = (): Error => Object.assign(new Error('connect timed out'), { code: 'ETIMEDOUT' });
    const model = await within(attempt, limitSeconds * 1000, settings.system, late);
    signal.throwIfAborted();
    return new Link(model, socketEnd, url, settings, news);
  } catch (error) {
    socketEnd.abort();
    attempt.then(destroyLate, () => undefined);
    throw explainConnectError(error, url, limitSeconds);
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

export class Link {
  readonly url: BrokerUrl;
  readonly insides: Insides | undefined;
  /** A goodbye went unanswered: nobody else need wait for one. */
  isMute = false;
  readonly #model: ChannelModel;
  readonly #socketEnd: AbortController;
  readonly #system: System;
  readonly #news: LinkNews;
  #isOver = false;
  #lastError: Error | undefined;
  #stopWatching: () => void = () => undefined;

  constructor(model: ChannelModel, socketEnd: AbortController, url: BrokerUrl, settings: LinkSettings, news: LinkNews) {
    const { system } = settings;
    this.#model = model;
    this.#socketEnd = socketEnd;
    this.#system = system;
    this.#news = news;
    this.url = url;
    this.insides = insidesOf(model);

    model.on('error', (error) => this.#end(error));
    model.on('close', (error) => this.#end(error));
    model.on('blocked', (reason) => news.onBlocked(reason));
    model.on('unblocked', () => news.onUnblocked());
    if (this.insides === undefined) {
      system.log.warn(
        'This amqplib is not the one celery-ts knows: slower publishing and slower detection of dead peers',
      );
      return;
    }
    guardHeaders(this.insides.socket, settings.maxBodyBytes);
    if (this.insides.heartbeatSeconds > 0) this.#watch(this.insides);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Why it ended, or what the broker said last before it did. */
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** A channel whose errors are heard; the caller listens for its `close`. */
  async openChannel(confirm: true): Promise<ConfirmChannel>;
  async openChannel(confirm?: boolean): Promise<Channel>;
  async openChannel(confirm = false): Promise<Channel> {
    const opening = confirm ? this.#model.createConfirmChannel() : this.#model.createChannel();
    opening.then(listen, () => undefined);
    const late = (): Error =>
      new OperationalError(`No channel from the broker at ${hostAndPort(this.url)} in ${operationLimitMs / 1000} s.`);
    try {
      return await within(opening, operationLimitMs, this.#system, late);
    } catch (error) {
      opening.then(closeQuietly, () => undefined);
      throw explainLoss(this.#lastError ?? error, hostAndPort(this.url));
    }
  }

  /** Polite, within two seconds; then, or when there is nobody to be polite to, the socket is destroyed. */
  async close(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopWatching();
    try {
      const limitMs = this.isMute ? 0 : politeCloseLimitMs;
      await within(this.#model.close(), limitMs, this.#system, () => new Error('no answer'));
    } catch {
      // closed already, or as good as
    }
    this.#socketEnd.abort();
  }

  /** Ends it as if the network had. */
  destroy(error: OperationalError): void {
    this.#end(error);
  }

  #end(thrown: unknown): void {
    if (thrown instanceof Error) this.#lastError ??= thrown;
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopWatching();
    this.#socketEnd.abort();
    this.#news.onLost(explainLoss(this.#lastError, hostAndPort(this.url)));
  }

  /**
   * Counts ticks without bytes instead of looking at the clock: when our own loop was blocked, bytes may lie unread,
   * and one late tick says nothing. Bytes, not frames: a large message on a slow link is a sign of life.
   */
  #watch({ socket, heartbeatSeconds }: Insides): void {
    const tickMs = (heartbeatSeconds * 1000) / 4;
    let seenBytes = socket.bytesRead;
    let silentTicks = 0;
    const tick = (): void => {
      const { bytesRead } = socket;
      if (bytesRead !== seenBytes) {
        if (silentTicks >= suspectAfter) this.#news.onHeard();
        seenBytes = bytesRead;
        silentTicks = 0;
      } else {
        silentTicks += 1;
        if (silentTicks >= deadAfter) {
          this.#end(
            new OperationalError(
              `The broker at ${hostAndPort(this.url)} was silent for two heartbeats of ${heartbeatSeconds} s; the connection is given up.`,
            ),
          );
          return;
        }
        if (silentTicks === suspectAfter) this.#news.onSilent(silentTicks * tickMs);
      }
      this.#stopWatching = this.#system.after(tickMs, tick);
    };
    this.#stopWatching = this.#system.after(tickMs, tick);
  }
}

function addressOf(url: BrokerUrl, settings: LinkSettings): Parameters<typeof connect>[0] {
  return {
    protocol: url.tls || settings.tls !== undefined ? 'amqps' : 'amqp',
    hostname: url.hostname,
    port: url.port,
    username: url.username,
    password: url.password,
    vhost: encodeURIComponent(url.vhost), // amqplib decodes it once more
    heartbeat: Math.ceil(url.heartbeatSeconds ?? settings.heartbeatSeconds),
    ...(url.frameMax === undefined ? {} : { frameMax: url.frameMax }),
    ...(url.channelMax === undefined ? {} : { channelMax: url.channelMax }),
  };
}

function credentialsOf(
  { amqplain, external, plain }: typeof credentials,
  url: BrokerUrl,
  { loginMethod }: LinkSettings,
): ReturnType<typeof credentials.external> {
  switch (loginMethod) {
    case 'PLAIN':
      return plain(url.username, url.password);
    case 'AMQPLAIN':
      return amqplain(url.username, url.password);
    case 'EXTERNAL':
      return external();
  }
}

function tlsOptionsOf(url: BrokerUrl, { tls, system }: LinkSettings): object {
  if (!url.tls && tls === undefined) return {};
  const { ca, cert, key, passphrase, serverName, minVersion, insecureSkipVerify } = tls ?? {};
  if (insecureSkipVerify === true) {
    system.log.warn({ host: url.hostname }, 'The certificate of the broker is not verified (insecureSkipVerify)');
  }
  const given = { ca, cert: bytesOf(cert), key: bytesOf(key), passphrase, servername: serverName };
  return {
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    minVersion: minVersion ?? 'TLSv1.2',
    rejectUnauthorized: insecureSkipVerify !== true,
  };
}

function bytesOf(pem: string | Uint8Array | undefined): string | Buffer | undefined {
  return pem instanceof Uint8Array ? Buffer.from(pem) : pem;
}

/** A channel error without a listener would end the connection; so would a listener's own. */
function listen(channel: Channel): void {
  channel.on('error', () => undefined);
  channel.on('handler-error', () => undefined);
}

function closeQuietly(channel: Channel): void {
  channel.close().catch(() => undefined);
}

function destroyLate(model: ChannelModel): void {
  model.on('error', (error) => asError(error));
  model.close().catch(() => undefined);
}
