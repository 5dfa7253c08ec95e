/**
 * The queues an app knows: those of `taskQueues`, the default one, and those made when first named.
 * Fills what a queue lacks from the settings, and says which queues a worker consumes. Declares nothing itself.
 */
import { Exchange, Queue, type QueueOptions } from '../amqp/index.ts';
import { ImproperlyConfigured, QueueNotFound } from '../core/errors.ts';
import { nearest } from '../core/nearest.ts';
import { camelCase } from './settings/setting.ts';
import type { Config } from './settings.ts';

/** The settings that queues are made of. */
export type QueueConfig = Pick<
  Config,
  | 'taskQueues'
  | 'taskDefaultQueue'
  | 'taskDefaultQueueType'
  | 'taskDefaultExchange'
  | 'taskDefaultExchangeType'
  | 'taskDefaultRoutingKey'
  | 'taskQueueMaxPriority'
  | 'taskCreateMissingQueues'
  | 'taskCreateMissingQueueType'
  | 'taskCreateMissingQueueExchangeType'
  | 'workerDirect'
>;

/** Gives the exchange of a queue that is made when first named; nothing: the broker's default exchange. */
export type AutoExchange = (queueName: string) => Exchange | null | undefined;

/** What a worker is to consume. */
export interface Selection {
  /** `-Q`: these instead of all. */
  readonly only?: readonly string[] | undefined;
  /** `-X`: all but these. A name that is not known is ignored. */
  readonly except?: readonly string[] | undefined;
  /** The worker's node name: with `workerDirect` it gets a queue of its own. */
  readonly node?: string | undefined;
}

export class Queues {
  readonly #config: QueueConfig;
  readonly #autoExchange: AutoExchange;
  readonly #byName = new Map<string, Queue>();
  readonly #byAlias = new Map<string, Queue>();
  /** What a worker consumes when it is not told. */
  readonly #standard: readonly Queue[];

  /** @throws {ImproperlyConfigured} when an entry of `taskQueues` is no queue. */
  constructor(config: QueueConfig, autoExchange: AutoExchange = (name) => new Exchange(name)) {
    this.#config = config;
    this.#autoExchange = autoExchange;
    const configured = configuredQueues(config.taskQueues);
    this.#standard =
      configured.length === 0 ? [this.#add(this.#standardQueue())] : configured.map((queue) => this.#add(queue));
  }

  /**
   * The queue of that name or alias, made when it is not known.
   * @throws {QueueNotFound} when it is not known and `taskCreateMissingQueues` is off.
   */
  get(name: string): Queue {
    return this.find(name) ?? this.#missing(name);
  }

  /** The queue of that name or alias, if it is known. */
  find(name: string): Queue | undefined {
    return this.#byAlias.get(name) ?? this.#byName.get(name);
  }

  /** Where tasks go that nothing else routes. @throws {QueueNotFound} */
  get standard(): Queue {
    return this.get(this.#config.taskDefaultQueue);
  }

  /** The exchange of queues that name none. */
  get standardExchange(): Exchange {
    return new Exchange(this.#config.taskDefaultExchange ?? this.#config.taskDefaultQueue, {
      type: this.#config.taskDefaultExchangeType,
    });
  }

  /** The routing key of queues that name none. */
  get standardKey(): string {
    return this.#config.taskDefaultRoutingKey ?? this.#config.taskDefaultQueue;
  }

  [Symbol.iterator](): IterableIterator<Queue> {
    return this.#byName.values();
  }

  /**
   * The queues a worker consumes. Celery: `-Q`, `-X`, `worker_direct`.
   * @throws {ImproperlyConfigured} when `only` names a queue that is not known and none may be made.
   */
  consumed(selection: Selection = {}): readonly Queue[] {
    const chosen = selection.only?.length ? selection.only.map((name) => this.#selected(name)) : this.#standard;
    const left = new Set((selection.except ?? []).map((name) => this.find(name)?.name ?? name));
    const consumed = new Map(chosen.filter((queue) => !left.has(queue.name)).map((queue) => [queue.name, queue]));
    if (this.#config.workerDirect && selection.node !== undefined) {
      const own = workerDirect(selection.node);
      consumed.set(own.name, own);
    }
    return [...consumed.values()];
  }

  #selected(name: string): Queue {
    try {
      return this.get(name);
    } catch (error) {
      if (!(error instanceof QueueNotFound)) throw error;
      throw new ImproperlyConfigured(`Trying to select queue '${name}': ${error.message}`, { cause: error });
    }
  }

  #missing(name: string): Queue {
    const config = this.#config;
    if (!config.taskCreateMissingQueues) {
      const near = nearest(name, this.#byName.keys());
      const known = near === undefined ? `known: ${[...this.#byName.keys()].join(', ')}` : `did you mean '${near}'?`;
      throw new QueueNotFound(
        `Queue '${name}' is missing from taskQueues (${known}) and taskCreateMissingQueues is off.`,
      );
    }
    const type = config.taskCreateMissingQueueExchangeType;
    const exchange = type === undefined ? this.#autoExchange(name) : new Exchange(name, { type });
    return this.#add(
      new Queue(name, {
        exchange: exchange ?? new Exchange(''),
        routingKey: name,
        ...ofType(config.taskCreateMissingQueueType),
      }),
    );
  }

  #standardQueue(): Queue {
    const { taskDefaultQueue: name, taskDefaultQueueType } = this.#config;
    return new Queue(name, {
      exchange: this.standardExchange,
      routingKey: this.standardKey,
      ...ofType(taskDefaultQueueType),
    });
  }

  #add(given: Queue): Queue {
    const queue = this.#completed(given);
    this.#byName.set(queue.name, queue);
    if (queue.alias !== undefined) this.#byAlias.set(queue.alias, queue);
    return queue;
  }

  /** With the exchange, key and priorities that the settings give to queues without their own. */
  #completed(queue: Queue): Queue {
    const { taskQueueMaxPriority } = this.#config;
    const changes: QueueOptions = {};
    if (!queue.isBroadcast) {
      if (!queue.hasOwnExchange && queue.exchange.type === 'direct') changes.exchange = this.standardExchange;
      if (!queue.hasOwnRoutingKey || queue.routingKey === '') changes.routingKey = this.standardKey;
    }
    // RabbitMQ refuses x-max-priority on quorum queues and streams.
    const takesPriorities = queue.queueType === undefined || queue.queueType === 'classic';
    if (
      taskQueueMaxPriority !== undefined &&
      takesPriorities &&
      !Object.hasOwn(queue.queueArguments, 'x-max-priority')
    ) {
      changes.maxPriority = taskQueueMaxPriority;
    }
    return Object.keys(changes).length === 0 ? queue : queue.with(changes);
  }
}

/** The queue that only one worker consumes: `<node>.dq2` on the exchange `C.dq2`. Celery: `worker_direct`. */
export function workerDirect(node: string): Queue {
  return new Queue(`${node}.dq2`, { exchange: new Exchange('C.dq2'), routingKey: node });
}

function ofType(type: 'classic' | 'quorum'): QueueOptions {
  return type === 'quorum' ? { queueArguments: { 'x-queue-type': 'quorum' } } : {};
}

function configuredQueues(given: QueueConfig['taskQueues']): Queue[] {
  if (given === undefined) return [];
  if (!Array.isArray(given)) return Object.entries(given).map(([name, options]) => queueOf(name, options));
  return [...given];
}

/** An entry of the object form; Celery's option names in snake_case are taken too. Its key is the queue's name. */
function queueOf(name: string, given: Queue | QueueOptions): Queue {
  if (given instanceof Queue) return given;
  const options: QueueOptions = Object.fromEntries(
    Object.entries(given).map(([key, value]) => [camelCase(key), value ?? undefined]),
  );
  const { exchange, exchangeType, exchangeArguments, bindingKey, ...rest } = options;
  const made =
    typeof exchange === 'string' && exchange !== ''
      ? new Exchange(exchange, {
          ...(exchangeType === undefined ? {} : { type: exchangeType }),
          ...(exchangeArguments === undefined ? {} : { arguments: exchangeArguments }),
        })
      : exchange;
  return new Queue(name, {
    ...rest,
    ...(made === undefined || made === '' ? {} : { exchange: made }),
    routingKey: options.routingKey ?? bindingKey ?? name,
  });
}
