/**
 * The embedded broker: a listener, its connections and its virtual hosts. For development, tests and demos; it lives in
 * this process and, without a data folder, everything in it dies with the process.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { packageVersion } from '../core/package-version.ts';
import { nodeSystem, type System } from '../core/system.ts';
import { Connection, type ConnectionHost } from './connection.ts';
import { Deprecations } from './deprecations.ts';
import type { Journal } from './journal/journal.ts';
import { openJournal, type Restored } from './journal/recovery.ts';
import { Slabs } from './slabs.ts';
import { Vhost } from './vhost.ts';
import type { Outbox } from './wire/outbox.ts';

export interface BrokerOptions {
  /** TCP port; 0 takes a free one. Default 0. */
  readonly port?: number;
  /** Address to listen on. Default 127.0.0.1: this machine only. */
  readonly host?: string;
  /**
   * A folder for what is to survive a restart or a kill: durable exchanges and queues, and persistent messages in them.
   * They are confirmed once they are on disk. Default: none, everything is in memory.
   */
  readonly dataDir?: string;
  /**
   * Refuse what RabbitMQ's newest version refuses: queues that are neither durable nor exclusive, and prefetch limits
   * for a whole channel. Default false: a warning in the log, which Python Celery 5.6 needs.
   */
  readonly strict?: boolean;
  /**
   * Seconds a delivery may wait for its acknowledgement before its channel is closed (406), RabbitMQ's `consumer_timeout`.
   * Looked at each minute, or more often if it is shorter. Default 1800; `Infinity` for never.
   */
  readonly consumerTimeout?: number;
  /** Passwords by user name. Default `{ guest: 'guest' }`. */
  readonly users?: Readonly<Record<string, string>>;
  /** The virtual hosts there are, or `'any'` to make each one that a client asks for. Default `['/']`. */
  readonly vhosts?: 'any' | readonly string[];
  /** Time, ids and the logger. Default: the real ones, silent. */
  readonly system?: System;
}

export interface BrokerStats {
  readonly connections: number;
  readonly channels: number;
  readonly queues: readonly QueueStats[];
  /** How often clients asked for what RabbitMQ's newest version refuses, by feature. */
  readonly deprecated: Readonly<Record<string, number>>;
}

export interface QueueStats {
  readonly vhost: string;
  readonly name: string;
  readonly ready: number;
  readonly unacknowledged: number;
  readonly consumers: number;
}

/** A running broker. */
export interface Broker extends AsyncDisposable {
  /** The address for clients, of the first user and the first vhost. */
  readonly url: string;
  readonly port: number;
  /** Makes a virtual host, if there is none of that name. */
  addVhost(name: string): void;
  /**
   * Stops taking publishes, as RabbitMQ does when memory or disk runs short: whoever publishes from now on is told
   * (`connection.blocked`), and nothing that connection sends is taken until `unblock`.
   */
  block(reason?: string): void;
  /** Takes publishes again. */
  unblock(): void;
  /** Connections, channels and queues as they are now. */
  stats(): BrokerStats;
  /** Tells every client, closes the connections and stops listening. May be called twice. */
  close(): Promise<void>;
  /** Resolves when the broker has closed; rejects when it had to because it could not write to its data folder. */
  readonly closed: Promise<void>;
}

/**
 * Starts an AMQP 0-9-1 broker in this process and resolves once it listens. For development and tests: production is
 * RabbitMQ.
 *
 * @throws {ImproperlyConfigured} when the data folder is in use or damaged
 * @example
 * await using broker = await startBroker();
 * const app = new Celery('tasks', { broker: broker.url });
 */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  const { dataDir, system = nodeSystem() } = options;
  const restored = dataDir === undefined ? undefined : await openJournal(dataDir, system.pid);
  const broker = new BrokerServer({ ...options, system }, restored);
  try {
    await broker.listen(options.port ?? 0, options.host ?? '127.0.0.1');
  } catch (error) {
    await broker.close();
    throw error;
  }
  return broker;
}

const longestWatchMs = 60_000;

class BrokerServer implements Broker, ConnectionHost {
  readonly system: System;
  readonly version = packageVersion();
  readonly closed: Promise<void>;
  readonly #server: Server;
  readonly #deprecations: Deprecations;
  readonly #slabs = new Slabs();
  readonly #journal: Journal | undefined;
  readonly #users: ReadonlyMap<string, string>;
  readonly #takesAnyVhost: boolean;
  readonly #vhosts = new Map<string, Vhost>();
  readonly #connections = new Set<Connection>();
  #waiting: Outbox[] = [];
  #blockedReason: string | undefined;
  #host = '127.0.0.1';
  #port = 0;
  #closing: Promise<void> | undefined;
  #cancelWatch: () => void = () => undefined;
  #settleClosed: { readonly resolve: () => void; readonly reject: (error: unknown) => void };

  constructor(options: BrokerOptions & { readonly system: System }, restored: Restored | undefined) {
    const { users = { guest: 'guest' }, vhosts = ['/'], strict = false, consumerTimeout = 1800, system } = options;
    this.system = system;
    this.#deprecations = new Deprecations({ isStrict: strict, log: system.log });
    this.#journal = restored?.journal;
    this.#users = new Map(Object.entries(users));
    this.#takesAnyVhost = vhosts === 'any';
    for (const name of vhosts === 'any' ? ['/'] : vhosts) this.addVhost(name);
    this.#server = createServer((socket) => this.#connections.add(new Connection(socket, this)));
    let settle = { resolve: (): void => undefined, reject: (_error: unknown): void => undefined };
    this.closed = new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
    this.#settleClosed = settle;
    this.closed.catch(() => undefined); // whoever asks is told; nobody has to ask
    if (restored !== undefined) this.#restore(restored);
    if (Number.isFinite(consumerTimeout)) this.#watchDeliveries(consumerTimeout * 1000);
  }

  async listen(port: number, host: string): Promise<void> {
    this.#server.listen({ port, host });
    await once(this.#server, 'listening');
    const address = this.#server.address() as AddressInfo; // a TCP server that listens has one
    this.#port = address.port;
    this.#host = host;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    const [user = 'guest', password = 'guest'] = [...this.#users][0] ?? [];
    const [vhost = '/'] = [...this.#vhosts.keys()];
    const isEverywhere = this.#host === '0.0.0.0' || this.#host === '::';
    const host = isEverywhere ? '127.0.0.1' : this.#host.includes(':') ? `[${this.#host}]` : this.#host;
    const [name, secret, path] = [user, password, vhost].map(encodeURIComponent);
    return `amqp://${name}:${secret}@${host}:${this.#port}/${path}`;
  }

  get blockedReason(): string | undefined {
    return this.#blockedReason;
  }

  addVhost(name: string): void {
    if (this.#vhosts.has(name)) return;
    const context = {
      system: this.system,
      deprecations: this.#deprecations,
      slabs: this.#slabs,
      journal: this.#journal,
    };
    this.#vhosts.set(name, new Vhost(name, context));
  }

  vhost(name: string): Vhost | undefined {
    if (this.#takesAnyVhost) this.addVhost(name);
    return this.#vhosts.get(name);
  }

  isUser(user: string, password: string): boolean {
    return this.#users.get(user) === password;
  }

  block(reason = 'low on memory'): void {
    this.#blockedReason = reason;
  }

  unblock(): void {
    this.#blockedReason = undefined;
    for (const connection of this.#connections) connection.unblock();
  }

  stats(): BrokerStats {
    const connections = [...this.#connections];
    return {
      connections: connections.length,
      channels: connections.reduce((sum, { channels }) => sum + channels.size, 0),
      queues: [...this.#vhosts.values()].flatMap((vhost) =>
        [...vhost.queues].map((queue) => ({
          vhost: vhost.name,
          name: queue.name,
          ready: queue.readyCount,
          unacknowledged: queue.unacknowledgedCount,
          consumers: queue.consumerCount,
        })),
      ),
      deprecated: this.#deprecations.uses,
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  closedConnection(connection: Connection): void {
    this.#connections.delete(connection);
  }

  /** Outboxes are flushed together, after all sockets that had something to read were read. */
  scheduleFlush(outbox: Outbox): void {
    if (this.#waiting.length === 0) setImmediate(() => this.#flush());
    this.#waiting.push(outbox);
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const outbox of waiting) outbox.flush();
  }

  #watchDeliveries(limitMs: number): void {
    this.#cancelWatch = this.system.after(Math.min(longestWatchMs, limitMs / 2), () => {
      for (const connection of this.#connections) connection.closeStalledChannels(limitMs);
      this.#watchDeliveries(limitMs);
    });
  }

  #restore({ journal, exchanges, queues, bindings }: Restored): void {
    journal.onFailure = (error) => this.#fail(error);
    const names = [...exchanges, ...queues.map(({ record }) => record), ...bindings].map(({ vhost }) => vhost);
    for (const name of new Set(names)) {
      this.addVhost(name);
      this.#vhosts.get(name)?.restore({
        exchanges: exchanges.filter(({ vhost }) => vhost === name),
        queues: queues.filter(({ record }) => record.vhost === name),
        bindings: bindings.filter(({ vhost }) => vhost === name),
      });
    }
  }

  /** The data folder cannot be written: nothing may be confirmed any more, so everything ends. */
  #fail(error: unknown): void {
    this.system.log.error({ err: error }, 'The broker cannot write to its data folder and closes');
    this.#settleClosed.reject(error);
    this.close().catch((late: unknown) => this.system.log.error({ err: late }, 'The broker did not close cleanly'));
  }

  async #close(): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, 'close') : undefined;
    this.#server.close();
    this.#cancelWatch();
    for (const connection of this.#connections) connection.close('broker forced connection closure');
    await closed;
    for (const connection of [...this.#connections]) connection.dispose(); // a server closes a little before its sockets do
    for (const vhost of this.#vhosts.values()) vhost.stop();
    await this.#journal?.close();
    this.#settleClosed.resolve();
  }
}
