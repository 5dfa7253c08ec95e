/**
 * What an app has open on its broker: a connection for publishing, one for consuming, the result backend.
 * Each is opened when first asked for, and again by the next who asks when that failed.
 */
import { type BrokerMemory, Connection, type ConnectionOptions, Publisher } from '../amqp/index.ts';
import { CloseStack } from '../core/close-stack.ts';
import { OperationalError } from '../core/errors.ts';
import type { Logger, System } from '../core/system.ts';
import type { Codec, ErrorRegistry } from '../message/index.ts';
import { openBackend, type ResultBackend } from '../results/index.ts';
import { namesIn } from './codecs.ts';
import { brokerTls, brokerUrls, type Config } from './settings.ts';
import type { Signals } from './signals.ts';

export interface ConnectionsHost {
  readonly system: System;
  readonly config: Config;
  readonly codec: Codec;
  readonly errors: ErrorRegistry;
  readonly signals: Pick<Signals, 'brokerBlocked' | 'brokerUnblocked'>;
  /** Which broker answered last: one for all connections of the app. */
  readonly brokerMemory?: BrokerMemory;
  /** Shown by the broker: `celery-ts tasks`. */
  readonly name: string;
}

export class Connections {
  readonly #host: ConnectionsHost;
  readonly #opened = new CloseStack();
  readonly #closing = new AbortController();
  #publisher: Promise<Publisher> | undefined;
  #consuming: Promise<Connection> | undefined;
  #backend: Promise<ResultBackend> | undefined;
  #openPublisher: Publisher | undefined;
  #openBackend: ResultBackend | undefined;

  constructor(host: ConnectionsHost) {
    this.#host = host;
  }

  /** The publisher if it is open already: the way of a hot path. */
  get openPublisher(): Publisher | undefined {
    return this.#openPublisher;
  }

  get openBackend(): ResultBackend | undefined {
    return this.#openBackend;
  }

  /** @throws {OperationalError} {AccessRefused} */
  publisher(): Promise<Publisher> {
    this.#publisher ??= this.#start(
      async () => {
        const { config, system } = this.#host;
        const connection = await this.#connect('write', clientRetry(config));
        warnOfPromises(config, system.log);
        tellOfAlarms(connection, this.#host.signals);
        const publisher = new Publisher(connection, publisherOptions(config, system));
        this.#opened.defer(() => publisher.close({ limitMs: config.shutdownTimeout * 1000 }));
        this.#openPublisher = publisher;
        return publisher;
      },
      () => {
        this.#publisher = undefined;
      },
    );
    return this.#publisher;
  }

  /** @throws {OperationalError} {AccessRefused} */
  consuming(): Promise<Connection> {
    this.#consuming ??= this.#start(
      () => this.#connect('read', clientRetry(this.#host.config)),
      () => {
        this.#consuming = undefined;
      },
    );
    return this.#consuming;
  }

  /** @throws {ImproperlyConfigured} an unknown backend, or one whose package is missing. */
  backend(): Promise<ResultBackend> {
    this.#backend ??= this.#start(
      async () => {
        const { codec, config, errors, system } = this.#host;
        await codec.prepare(namesIn(config)); // results are read without waiting for anything
        const backend = await openBackend({
          url: config.resultBackend,
          settings: config,
          codec,
          ...(config.resultAcceptContent === undefined
            ? {}
            : { accept: codec.contentTypes(config.resultAcceptContent) }),
          errors,
          system,
          broker: { publisher: () => this.publisher(), connection: () => this.consuming() },
        });
        this.#opened.adopt(backend);
        this.#openBackend = backend;
        return backend;
      },
      () => {
        this.#backend = undefined;
      },
    );
    return this.#backend;
  }

  /** A connection of the caller's own, supervised for ever. */
  connection(direction: 'read' | 'write', name: string, retry: ConnectionOptions['retry']): Connection {
    return new Connection({
      ...connectionOptions(this.#host, direction, name),
      ...(retry === undefined ? {} : { retry }),
    });
  }

  async close(): Promise<void> {
    // What is being opened is given up, or adopted first: a connection nobody closes keeps the process alive.
    this.#closing.abort(new OperationalError('The app was closed while it was connecting.'));
    await Promise.allSettled([this.#publisher, this.#consuming, this.#backend]);
    await this.#opened.close();
  }

  async #connect(direction: 'read' | 'write', retry: ConnectionOptions['retry']): Promise<Connection> {
    const connection = this.connection(direction, `${this.#host.name} (${direction})`, retry);
    try {
      await connection.connect(this.#closing.signal);
    } catch (error) {
      await connection.close();
      throw error;
    }
    return this.#opened.adopt(connection);
  }

  async #start<T>(open: () => Promise<T>, onFailed: () => void): Promise<T> {
    try {
      return await open();
    } catch (error) {
      onFailed();
      throw error;
    }
  }
}

/** A caller wants to know soon; once connected, a loss is repaired without end. */
export function clientRetry(config: Config): NonNullable<ConnectionOptions['retry']> {
  const { maxRetries = 2, intervalStart = 0, intervalMax = 0 } = config.brokerTransportOptions;
  return {
    startup: Math.max(0, maxRetries),
    ...(intervalStart > 0 ? { firstDelayMs: intervalStart * 1000 } : {}),
    ...(intervalMax > 0 ? { longestDelayMs: intervalMax * 1000 } : {}),
  };
}

/** Who slows down during an alarm hears of its end, whatever ended it. */
function tellOfAlarms(connection: Connection, { brokerBlocked, brokerUnblocked }: ConnectionsHost['signals']): void {
  const { name } = connection;
  let isBlocked = false;
  const onBlocked = (reason: string): void => {
    isBlocked = true;
    void brokerBlocked.send(name, { url: connection.url, reason });
  };
  const onOver = (): void => {
    if (!isBlocked) return;
    isBlocked = false;
    void brokerUnblocked.send(name, { url: connection.url });
  };
  connection.on('blocked', onBlocked);
  connection.on('unblocked', onOver);
  connection.on('lost', onOver);
  connection.on('closed', onOver);
  if (connection.blockedReason !== undefined) onBlocked(connection.blockedReason);
}

/** What is switched off is not promised any more. */
function warnOfPromises({ brokerTransportOptions }: Config, log: Logger): void {
  const { confirmPublish, mandatoryPublish } = brokerTransportOptions;
  if (confirmPublish === false) {
    log.warn({ confirmPublish }, 'Tasks are published without confirms: a connection that dies may take some along');
  } else if (mandatoryPublish === false) {
    log.warn({ mandatoryPublish }, 'A task that no queue takes is dropped by the broker, and nobody is told');
  }
}

/** The settings of a connection. */
export function connectionOptions(
  host: Pick<ConnectionsHost, 'brokerMemory' | 'config' | 'system'>,
  direction: 'read' | 'write',
  name: string,
): ConnectionOptions {
  const { brokerMemory: memory, config, system } = host;
  const { allowNoHeartbeat, clientProperties } = config.brokerTransportOptions;
  return {
    ...(memory === undefined ? {} : { memory }),
    urls: brokerUrls(config, direction),
    name,
    heartbeatSeconds: config.brokerHeartbeat,
    ...(allowNoHeartbeat === true ? { allowNoHeartbeat } : {}),
    connectTimeoutSeconds: config.brokerConnectionTimeout,
    tls: brokerTls(config),
    // What was published and comes back is compared with what was sent: that connection reads all of it.
    ...(direction === 'read' ? { maxBodyBytes: config.workerMaxBodyBytes } : {}),
    ...(config.brokerLoginMethod === undefined ? {} : { loginMethod: config.brokerLoginMethod }),
    ...(config.brokerFailoverStrategy === undefined ? {} : { failover: config.brokerFailoverStrategy }),
    ...(clientProperties === undefined ? {} : { clientProperties }),
    system,
  };
}

/** The settings of the publisher of tasks. */
export function publisherOptions(config: Config, system: System): ConstructorParameters<typeof Publisher>[1] {
  return {
    publishTimeoutSeconds: config.publishTimeout,
    retryPolicy: config.taskPublishRetry ? config.taskPublishRetryPolicy : false,
    system,
  };
}
