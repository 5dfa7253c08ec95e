/**
 * Where a message goes. In order, stronger first: the call's options, the task's own, `taskRoutes`, the default queue.
 * Pure: nothing is declared or sent here. An answer that depends on the task alone is kept, as `delay()` is a hot path.
 */
import { Exchange, Queue } from '../amqp/index.ts';
import { ImproperlyConfigured } from '../core/errors.ts';
import { type AutoExchange, type QueueConfig, Queues, type Selection } from './queues.ts';
import { compileRoutes, type GivenRoute } from './routes.ts';
import type { Config, TaskRoutes } from './settings.ts';

/** Options that say where to or how; a call, a task and a route may each have them. */
export interface Destination {
  readonly queue?: string | Queue | undefined;
  readonly exchange?: string | Exchange | undefined;
  readonly exchangeType?: string | undefined;
  readonly routingKey?: string | undefined;
  readonly priority?: number | undefined;
  readonly serializer?: string | undefined;
  readonly compression?: string | undefined;
  readonly deliveryMode?: 1 | 2 | undefined;
}

/** What functions among the routes are shown. */
export interface Called {
  readonly args?: readonly unknown[] | undefined;
  readonly kwargs?: Readonly<Record<string, unknown>> | undefined;
  /** The task, or its options. */
  readonly task?: Destination | undefined;
}

/** Where a message goes, and with what. */
export interface Routed {
  /** The queue it is meant for; undefined when the caller named an exchange of its own. */
  readonly queue: Queue | undefined;
  /** To be declared before publishing: that queue, but never a broadcast's. */
  readonly declare: readonly Queue[];
  /** Empty: the broker's default exchange. */
  readonly exchange: string;
  readonly routingKey: string;
  readonly priority: number | undefined;
  readonly serializer: string | undefined;
  readonly compression: string | undefined;
  readonly deliveryMode: 1 | 2;
  /** Everything the route and the call said, the call over the route, in camelCase. */
  readonly options: Readonly<Record<string, unknown>>;
}

export type RouterConfig = QueueConfig & Pick<Config, 'taskRoutes' | 'taskDefaultPriority' | 'taskDefaultDeliveryMode'>;

export interface Router {
  readonly queues: Queues;
  /**
   * @throws {QueueNotFound} when a queue is named that is not known and none may be made.
   * @throws {ImproperlyConfigured} when an exchange is named without a routing key, or a route makes no sense.
   */
  route(name: string, call?: Destination, called?: Called): Routed;
  /** The queues a worker consumes. @throws {ImproperlyConfigured} */
  consumed(selection?: Selection): readonly Queue[];
}

/** Answers kept for tasks without options of the call; names beyond this many are worked out each time. */
const keptAnswers = 10_000;

/** @throws {ImproperlyConfigured} when `taskQueues` or `taskRoutes` cannot be understood. */
export function createRouter(config: RouterConfig, options: { readonly autoExchange?: AutoExchange } = {}): Router {
  const queues = new Queues(config, options.autoExchange);
  const routes = compileRoutes(config.taskRoutes as TaskRoutes | undefined);
  const kept = new Map<string, { readonly task: Destination | undefined; readonly answer: Routed }>();

  const work = (name: string, call: Destination, called: Called): Routed => {
    const asked = { ...destination(called.task), ...destination(call) };
    const expanded = asked.queue === undefined ? asked : { ...asked, queue: findQueue(queues, asked.queue) };
    const shown = routes.asksFunctions ? { ...call, ...expanded } : nothing;
    const route = routes.lookup(name, called.args ?? none, called.kwargs ?? nothing, shown, called.task);
    return address(queues, config, { ...route, ...expanded }, route);
  };

  return {
    queues,
    consumed: (selection) => queues.consumed(selection),
    route(name, call = nothing, called = nothing) {
      if (routes.asksFunctions || saysWhere(call)) return work(name, call, called);
      const known = kept.get(name);
      const isKnown = known !== undefined && known.task === called.task;
      const answer = isKnown ? known.answer : work(name, nothing, called);
      if (!isKnown && (kept.size < keptAnswers || known !== undefined)) kept.set(name, { task: called.task, answer });
      return saysHow(call) ? underCall(answer, call) : answer;
    },
  };
}

const none: readonly unknown[] = Object.freeze([]);
const nothing: Readonly<Record<string, never>> = Object.freeze({});

/** Spelled out, not a loop over names: it runs for every `delay()`. */
function saysWhere(call: Destination): boolean {
  return (
    call.queue !== undefined ||
    call.exchange !== undefined ||
    call.exchangeType !== undefined ||
    call.routingKey !== undefined
  );
}

function saysHow(call: Destination): boolean {
  return (
    call.priority !== undefined ||
    call.serializer !== undefined ||
    call.compression !== undefined ||
    call.deliveryMode !== undefined
  );
}

/** The same place, with what the call says of the message. */
function underCall(answer: Routed, call: Destination): Routed {
  return {
    ...answer,
    priority: call.priority ?? answer.priority,
    serializer: call.serializer ?? answer.serializer,
    compression: call.compression ?? answer.compression,
    deliveryMode: deliveryMode(call, undefined) ?? answer.deliveryMode,
    options: { ...answer.options, ...destination(call) },
  };
}

const destinationKeys = [
  'queue',
  'exchange',
  'exchangeType',
  'routingKey',
  'priority',
  'serializer',
  'compression',
  'deliveryMode',
] as const satisfies readonly (keyof Destination)[];

/** Of anything that may hold more: only what says where to or how. */
function destination(given: Destination | undefined): Destination {
  if (given === undefined) return nothing;
  const found: Record<string, unknown> = {};
  for (const key of destinationKeys) {
    if (given[key] !== undefined && given[key] !== null) found[key] = given[key];
  }
  return found;
}

function findQueue(queues: Queues, queue: unknown): Queue {
  if (queue instanceof Queue) return queue;
  if (typeof queue === 'string' && queue !== '') return queues.get(queue);
  throw new ImproperlyConfigured(`A queue must be a name or a Queue, not ${typeof queue}.`);
}

/** From merged options to an address: spec "direct shortcut", "topic/fanout", "exchange without queue". */
function address(queues: Queues, config: RouterConfig, merged: GivenRoute, route: GivenRoute | undefined): Routed {
  const given = merged as Destination & GivenRoute;
  const exchangeName = typeof given.exchange === 'object' ? given.exchange.name : given.exchange;
  const namesExchange = exchangeName !== undefined && exchangeName !== '';
  const queue =
    given.queue !== undefined ? findQueue(queues, given.queue) : namesExchange ? undefined : queues.standard;
  const target =
    queue === undefined
      ? exchangeAlone(queues, given, exchangeName ?? '')
      : throughQueue(queues, given, queue, exchangeName);
  const priority = given.priority ?? config.taskDefaultPriority;
  return Object.freeze({
    queue,
    declare: queue === undefined || queue.isBroadcast ? [] : [queue],
    ...target,
    priority,
    serializer: given.serializer,
    compression: given.compression,
    deliveryMode: deliveryMode(given, queue) ?? config.taskDefaultDeliveryMode,
    options: route === undefined ? merged : Object.freeze({ ...route, ...merged }),
  });
}

interface Target {
  readonly exchange: string;
  readonly routingKey: string;
}

/** A direct exchange is not needed to reach one queue: the default exchange takes the queue's name as the key. */
function throughQueue(queues: Queues, given: Destination, queue: Queue, exchangeName: string | undefined): Target {
  const type = given.exchangeType ?? queue.exchange.type;
  if (type === 'direct' && (!exchangeName || !given.routingKey)) return { exchange: '', routingKey: queue.name };
  const exchange = exchangeName || queue.exchange.name || queues.standardExchange.name;
  return { exchange, routingKey: given.routingKey ?? (queue.routingKey || queues.standardKey) };
}

function exchangeAlone(queues: Queues, given: Destination, exchange: string): Target {
  if (given.routingKey !== undefined) return { exchange, routingKey: given.routingKey };
  const type =
    given.exchangeType ?? (given.exchange instanceof Exchange ? given.exchange.type : typeOf(queues, exchange));
  if (type === 'fanout' || type === 'headers') return { exchange, routingKey: '' };
  throw new ImproperlyConfigured(
    `The exchange '${exchange}' was named without a routingKey: give one, or name a queue instead.`,
  );
}

/** The type of an exchange that one of the known queues is bound to. */
function typeOf(queues: Queues, exchange: string): string | undefined {
  for (const queue of queues) {
    for (const candidate of [queue.exchange, ...queue.bindings.map((binding) => binding.exchange)]) {
      if (candidate.name === exchange) return candidate.type;
    }
  }
  return undefined;
}

function deliveryMode(given: Destination, queue: Queue | undefined): 1 | 2 | undefined {
  const mode: unknown = given.deliveryMode;
  if (mode === 'transient') return 1;
  if (mode === 'persistent') return 2;
  if (mode === 1 || mode === 2) return mode;
  return (given.exchange instanceof Exchange ? given.exchange.deliveryMode : undefined) ?? queue?.exchange.deliveryMode;
}
