/**
 * An app's way to workers and from them: remote control, events, and the logical clock both share.
 */
import type { Connection, Publisher } from '../amqp/index.ts';
import { type CommandHandler, Control, type ControlTopologyOptions, Mailbox } from '../control/index.ts';
import { LogicalClock } from '../core/logical-clock.ts';
import type { System } from '../core/system.ts';
import {
  ClusterState,
  type ClusterStateOptions,
  EventDispatcher,
  type EventHandler,
  type EventQueueOptions,
  EventReceiver,
} from '../events/index.ts';
import type { Codec } from '../message/index.ts';
import type { Config } from './settings.ts';

export interface RemoteHost {
  readonly system: System;
  readonly codec: Codec;
  readonly config: Config;
  readonly nodeName: string;
  publisher(): Promise<Publisher>;
  connection(): Promise<Connection>;
  taskQueues(): readonly string[];
}

/** A command of the user's own, for workers of this app. */
export interface UserCommand {
  readonly kind: 'inspect' | 'control';
  readonly handler: CommandHandler;
  readonly help: string;
  readonly signature: string | undefined;
  readonly args: readonly string[];
}

/** Listening to workers: `app.events`. */
export interface AppEvents {
  /**
   * Opens a queue of its own and calls a handler for each event; `*` takes the types without one.
   * @example const receiver = await app.events.receiver({ handlers: { 'task-succeeded': (event) => console.log(event.uuid) } });
   * Celery: `app.events.Receiver`.
   */
  receiver(options: {
    readonly handlers: Readonly<Record<string, EventHandler>>;
    readonly routingKey?: string;
  }): Promise<EventReceiver>;
  /** What the events of the cluster amount to: workers and tasks. Feed it by `receiver`'s `*`. Celery: `app.events.State`. */
  state(options?: Omit<ClusterStateOptions, 'system'>): ClusterState;
}

export class Remote {
  readonly clock = new LogicalClock();
  /** Commands of the user's own, by name. */
  readonly commands = new Map<string, UserCommand>();
  readonly #host: RemoteHost;
  #mailbox: Mailbox | undefined;
  #control: Control | undefined;
  #sentEvents: EventDispatcher | undefined;
  readonly events: AppEvents;

  constructor(host: RemoteHost) {
    this.#host = host;
    this.events = {
      receiver: async (options) => {
        const { config, codec, system } = host;
        return EventReceiver.open({
          connection: await host.connection(),
          codec,
          clock: this.clock,
          system,
          handlers: options.handlers,
          wakeWorkers: () => this.mailbox.cast('heartbeat', {}),
          ...eventQueueOptions(config),
          ...(options.routingKey === undefined ? {} : { routingKey: options.routingKey }),
        });
      },
      state: (options = {}) => new ClusterState({ ...options, system: host.system }),
    };
  }

  get mailbox(): Mailbox {
    const { codec, config, system } = this.#host;
    this.#mailbox ??= new Mailbox({
      publisher: () => this.#host.publisher(),
      connection: () => this.#host.connection(),
      codec,
      clock: this.clock,
      system,
      serializer: config.taskSerializer,
      ...controlTopology(config),
    });
    return this.#mailbox;
  }

  get control(): Control {
    const remote = this;
    this.#control ??= new Control({
      get mailbox() {
        return remote.mailbox;
      },
      system: this.#host.system,
      connection: () => this.#host.connection(),
      taskQueues: () => this.#host.taskQueues(),
    });
    return this.#control;
  }

  /** Announces tasks that this process sends (`taskSendSentEvent`). */
  async sentEvents(): Promise<EventDispatcher> {
    const { codec, config, nodeName, system } = this.#host;
    const publisher = await this.#host.publisher();
    this.#sentEvents ??= new EventDispatcher({
      publisher,
      codec,
      clock: this.clock,
      system,
      hostname: nodeName,
      exchange: config.eventExchange,
      serializer: config.eventSerializer,
    });
    return this.#sentEvents;
  }

  async close(): Promise<void> {
    await this.#sentEvents?.close();
    await this.#mailbox?.close();
    this.#mailbox = undefined;
    this.#control = undefined;
    this.#sentEvents = undefined;
  }
}

export function controlTopology(config: Config): ControlTopologyOptions {
  return {
    namespace: config.controlExchange,
    queueTtl: config.controlQueueTtl,
    queueExpires: config.controlQueueExpires,
    queueExclusive: config.controlQueueExclusive,
    queueDurable: config.controlQueueDurable,
  };
}

export function eventQueueOptions(config: Config): EventQueueOptions {
  return {
    exchange: config.eventExchange,
    queuePrefix: config.eventQueuePrefix,
    queueTtl: config.eventQueueTtl,
    queueExpires: config.eventQueueExpires,
    queueExclusive: config.eventQueueExclusive,
    queueDurable: config.eventQueueDurable,
  };
}
