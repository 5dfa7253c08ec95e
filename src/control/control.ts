/** Telling workers what to do: one method for each `control` command of `commands.ts`, and `purge`, which asks no worker. */
import { type Connection, purgeQueue } from '../amqp/index.ts';
import type { System } from '../core/system.ts';
import type { CommandName } from './commands.ts';
import { Inspect, type InspectOptions } from './inspect.ts';
import type { AskOptions, Mailbox } from './mailbox.ts';
import type { Acknowledgement } from './replies.ts';

export interface BroadcastOptions extends AskOptions {
  /** Collect answers. Default: false, so the call resolves when the request is sent. */
  readonly reply?: boolean | undefined;
}

/** One map a worker, `{ [node]: answer }`, in the order they came; empty without `reply`. */
export type Broadcasted<T = Acknowledgement> = readonly Readonly<Record<string, T>>[];

export interface RevokeTaskOptions extends BroadcastOptions {
  /** Also end the task where it is running. Default: false. */
  readonly terminate?: boolean | undefined;
  /** The operating system's signal for that. Default: `SIGTERM`. */
  readonly killSignal?: string | undefined;
}

export interface AddConsumerOptions extends BroadcastOptions {
  /** Default: the name of the queue. */
  readonly exchange?: string | undefined;
  /** Default: `direct`. */
  readonly exchangeType?: string | undefined;
  /** Default: the name of the queue. */
  readonly routingKey?: string | undefined;
  /** Further options of the queue, as on the wire: `{ queue_arguments: { 'x-max-length': 5 } }`. */
  readonly options?: Readonly<Record<string, unknown>> | undefined;
}

/** What `control` needs of the app. */
export interface ControlHost {
  readonly mailbox: Mailbox;
  readonly system: System;
  connection(): Promise<Connection>;
  /** The names of the queues the app consumes. */
  taskQueues(): readonly string[];
}

/**
 * Remote control of workers.
 *
 * @example
 * await app.control.rateLimit('tasks.add', '10/m', { reply: true });
 * // [{ 'celery@host': { ok: 'new rate limit set successfully' } }]
 * Celery: `app.control`.
 */
export class Control {
  readonly #host: ControlHost;

  constructor(host: ControlHost) {
    this.#host = host;
  }

  /** Questions to every worker, to some, or (a single name) to one. */
  inspect(options: InspectOptions & { readonly destination: string }): Inspect<'one'>;
  inspect(options?: InspectOptions): Inspect;
  inspect(options: InspectOptions = {}): Inspect<'all' | 'one'> {
    return new Inspect(this.#host.mailbox, options);
  }

  /** Whether they are there; always collects answers. */
  ping(options: AskOptions = {}): Promise<Broadcasted<{ readonly ok: 'pong' }>> {
    return this.broadcast('ping', {}, { ...options, reply: true });
  }

  /** Every worker skips these tasks; with `terminate` those that run are ended. */
  revoke(taskId: string | readonly string[], options: RevokeTaskOptions = {}): Promise<Broadcasted> {
    const { terminate = false, killSignal = 'SIGTERM', ...rest } = options;
    return this.#tell('revoke', { task_id: taskId, terminate, signal: killSignal }, rest);
  }

  /** Every worker skips tasks that carry one of these stamps: `{ customer: ['a', 'b'] }`. */
  revokeByStampedHeaders(
    headers: Readonly<Record<string, unknown>>,
    options: RevokeTaskOptions = {},
  ): Promise<Broadcasted> {
    const { terminate = false, killSignal = 'SIGTERM', ...rest } = options;
    return this.#tell('revoke_by_stamped_headers', { headers, terminate, signal: killSignal }, rest);
  }

  /** `revoke` with `terminate`. */
  terminate(
    taskId: string | readonly string[],
    options: Omit<RevokeTaskOptions, 'terminate'> = {},
  ): Promise<Broadcasted> {
    return this.revoke(taskId, { ...options, terminate: true });
  }

  /** How often a task may start on each worker: `10/s`, `10/m`, `10/h`; 0 lifts the limit. */
  rateLimit(taskName: string, rateLimit: string | number, options: BroadcastOptions = {}): Promise<Broadcasted> {
    return this.#tell('rate_limit', { task_name: taskName, rate_limit: rateLimit }, options);
  }

  /** How long a task may run: seconds. */
  timeLimit(
    taskName: string,
    limits: { readonly soft?: number | undefined; readonly hard?: number | undefined },
    options: BroadcastOptions = {},
  ): Promise<Broadcasted> {
    const args = { task_name: taskName, hard: limits.hard ?? null, soft: limits.soft ?? null };
    return this.#tell('time_limit', args, options);
  }

  /** Has workers consume another queue, which is declared when it is not there. */
  addConsumer(queue: string, options: AddConsumerOptions = {}): Promise<Broadcasted> {
    const { exchange = null, exchangeType = 'direct', routingKey = null, options: more, ...rest } = options;
    const args = { ...more, queue, exchange, exchange_type: exchangeType, routing_key: routingKey };
    return this.#tell('add_consumer', args, rest);
  }

  /** Has workers leave a queue alone. */
  cancelConsumer(queue: string, options: BroadcastOptions = {}): Promise<Broadcasted> {
    return this.#tell('cancel_consumer', { queue }, options);
  }

  enableEvents(options: BroadcastOptions = {}): Promise<Broadcasted> {
    return this.#tell('enable_events', {}, options);
  }

  disableEvents(options: BroadcastOptions = {}): Promise<Broadcasted> {
    return this.#tell('disable_events', {}, options);
  }

  /** Has workers announce themselves now. */
  heartbeat(options: BroadcastOptions = {}): Promise<Broadcasted<null>> {
    return this.#tell('heartbeat', {}, options);
  }

  /** Adds children, threads or slots to each pool. */
  poolGrow(n = 1, options: BroadcastOptions = {}): Promise<Broadcasted> {
    return this.#tell('pool_grow', { n }, options);
  }

  /** Takes children, threads or slots away from each pool. */
  poolShrink(n = 1, options: BroadcastOptions = {}): Promise<Broadcasted> {
    return this.#tell('pool_shrink', { n }, options);
  }

  /** Replaces every child. `modules` and `reload` are for Python workers; ours load no module because a message says so. */
  poolRestart(
    what: { readonly modules?: readonly string[]; readonly reload?: boolean } = {},
    options: BroadcastOptions = {},
  ): Promise<Broadcasted> {
    const { modules = null, reload = false } = what;
    return this.#tell('pool_restart', { modules, reload, reloader: null }, options);
  }

  /** The bounds of the autoscaler. */
  autoscale(max: number, min: number, options: BroadcastOptions = {}): Promise<Broadcasted> {
    return this.#tell('autoscale', { max, min }, options);
  }

  /** Stops workers warmly. They do not answer. */
  shutdown(options: Omit<BroadcastOptions, 'reply'> = {}): Promise<Broadcasted> {
    return this.#tell('shutdown', {}, options);
  }

  /** Has the workers choose one among them, which publishes `action`, a signature, when the topic is `task`. */
  election(
    id: string,
    topic: string,
    action: unknown = null,
    options: BroadcastOptions = {},
  ): Promise<Broadcasted<null>> {
    return this.#tell('election', { id, topic, action }, options);
  }

  /**
   * Any command, those of the user's own included.
   *
   * Celery: `app.control.broadcast`.
   */
  async broadcast<T = unknown>(
    command: string,
    args: Readonly<Record<string, unknown>> = {},
    options: BroadcastOptions = {},
  ): Promise<Broadcasted<T>> {
    const { mailbox } = this.#host;
    const { reply = false, ...asking } = options;
    if (!reply) {
      await mailbox.cast(command, args, asking);
      return [];
    }
    const replies = await mailbox.ask(command, args, asking);
    return replies.map(({ node, value }) => ({ [node]: value as T })); // the worker's word
  }

  /** Deletes every message that waits in the queues the app consumes, and says how many there were. Cannot be undone. */
  async purge(): Promise<number> {
    const connection = await this.#host.connection();
    let purged = 0;
    for (const queue of this.#host.taskQueues()) {
      purged += await purgeQueue(connection, queue);
    }
    return purged;
  }

  /** The same as `purge`. */
  discardAll(): Promise<number> {
    return this.purge();
  }

  #tell<T = Acknowledgement>(
    command: CommandName,
    args: Readonly<Record<string, unknown>>,
    options: BroadcastOptions,
  ): Promise<Broadcasted<T>> {
    return this.broadcast<T>(command, args, options);
  }
}
