/**
 * From a call to a publication: mints the id, inherits root, parent and priority from the running task, asks the
 * router where to, encodes. Sends nothing.
 */
import { delayExchange, delayKey, longestDelaySeconds, type Queue } from '../amqp/index.ts';
import { toSignatureMap } from '../canvas/index.ts';
import type { Publication } from '../core/envelope.ts';
import { ImproperlyConfigured } from '../core/errors.ts';
import type { System } from '../core/system.ts';
import { type Codec, encodeTask, type OutgoingTask, type SignatureMap } from '../message/index.ts';
import type { CallOptions, LinkOption, TaskOptions } from '../task/index.ts';
import type { Router } from './router.ts';
import type { Config } from './settings.ts';

/** What composing needs of the app, as values. */
export interface Composer {
  readonly system: System;
  readonly codec: Codec;
  readonly config: Config;
  readonly router: Router;
  /** `reply_to` of every task. */
  readonly replyTo: string;
  /** `gen<pid>@host`, or the node name in a worker. */
  readonly origin: string;
}

/** The running task a call is made from. */
export interface Caller {
  readonly id: string;
  readonly rootId: string;
  readonly priority: number | undefined;
}

/** A call that is ready to be published. */
export interface Composed {
  readonly taskId: string;
  readonly publication: Publication;
  /** To be declared first; undefined when the caller named an exchange of its own. */
  readonly queue: Queue | undefined;
  readonly ignoreResult: boolean | undefined;
}

/** @throws {QueueNotFound} {EncodeError} {ImproperlyConfigured} */
export function composeCall(
  composer: Composer,
  taskName: string,
  args: readonly unknown[],
  call: CallOptions,
  task: TaskOptions | undefined,
  caller: Caller | undefined,
): Composed {
  const { config, system } = composer;
  const taskId = call.taskId ?? system.newId();
  const isTimed =
    call.countdown !== undefined || call.eta !== undefined || call.expires !== undefined || task?.expires !== undefined;
  const now = isTimed ? system.now() : 0;
  const eta = call.eta?.getTime() ?? (call.countdown ? now + call.countdown * 1000 : undefined);
  const expires = expiryMs(call.expires ?? task?.expires, now);
  checkLimits(taskName, call.softTimeLimit ?? task?.softTimeLimit, call.timeLimit ?? task?.timeLimit);
  const route = composer.router.route(call.routeName ?? taskName, call, { args, kwargs: call.kwargs, task });
  const priority = route.priority ?? (config.taskInheritParentPriority ? caller?.priority : undefined);
  const ignoreResult = call.ignoreResult ?? task?.ignoreResult ?? config.taskIgnoreResult;
  const outgoing: OutgoingTask = {
    id: taskId,
    task: taskName,
    args,
    kwargs: call.kwargs ?? noKwargs,
    embed: {
      callbacks: linkList(call.link),
      errbacks: linkList(call.linkError),
      chain: call.chain as readonly SignatureMap[] | undefined,
      chord: call.chord === undefined || call.chord === null ? undefined : toSignatureMap(call.chord as never),
    },
    shadow: call.shadow ?? task?.shadowName?.(args, call.kwargs ?? noKwargs, call),
    eta,
    expires,
    expirationMs: expires === undefined ? undefined : Math.max(0, Math.round(expires - now)),
    group: call.groupId,
    groupIndex: call.groupIndex,
    retries: call.retries,
    timeLimit: call.timeLimit,
    softTimeLimit: call.softTimeLimit,
    rootId: call.rootId ?? caller?.rootId ?? taskId,
    parentId: call.parentId ?? caller?.id,
    argsRepr: call.argsrepr,
    kwargsRepr: call.kwargsrepr,
    origin: call.origin ?? composer.origin,
    ignoreResult,
    replacedTaskNesting: call.replacedTaskNesting,
    stampedHeaders: call.stampedHeaders,
    stamps: call.stamps,
    headers: call.headers,
    serializer: route.serializer ?? config.taskSerializer,
    compression: route.compression ?? config.taskCompression,
    replyTo: call.replyTo ?? composer.replyTo,
    deliveryMode: route.deliveryMode,
    priority,
    protocol: config.taskProtocol,
  };
  const { exchange, routingKey } = route;
  return {
    taskId,
    publication: publish(composer, outgoing, { exchange, routingKey }, route.declare[0]?.name, call, now),
    queue: route.declare[0],
    ignoreResult,
  };
}

/** A message that goes to a place already known. */
export function composeMessage(
  composer: Composer,
  task: OutgoingTask,
  address: { readonly queue: string } | { readonly exchange: string; readonly routingKey: string },
): Publication {
  const { config, system } = composer;
  const options = {
    serializer: config.taskSerializer,
    compression: config.taskCompression,
    protocol: config.taskProtocol,
  };
  const { exchange, routingKey } =
    'queue' in address ? composer.router.route(task.task, { queue: address.queue }) : address;
  const queue = 'queue' in address ? address.queue : exchange === '' ? routingKey : undefined;
  const now = system.now();
  const whole = { ...options, ...task, expirationMs: task.expirationMs ?? lifeLeft(task.expires, now) };
  return publish(composer, whole, { exchange, routingKey }, queue, noOptions, now);
}

/** The publication of a message: straight to its target, or through the broker's delay levels when its time is far. */
function publish(
  composer: Composer,
  task: OutgoingTask,
  target: { readonly exchange: string; readonly routingKey: string },
  queue: string | undefined,
  call: CallOptions,
  now: number,
): Publication {
  const { codec, config } = composer;
  const delay = typeof task.eta === 'number' ? delayOf(config, task.eta - now, target) : undefined;
  if (delay === undefined) {
    return { envelope: encodeTask(task, codec), ...target, ...guarantees(config, call), queue };
  }
  // A time to live would cut every level short; the worker checks `expires` on arrival.
  const delayed: OutgoingTask = {
    ...task,
    expirationMs: undefined,
    headers: delay.cc.length === 0 ? task.headers : { ...task.headers, CC: delay.cc },
  };
  return {
    envelope: encodeTask(delayed, codec),
    exchange: delayExchange,
    routingKey: delay.routingKey,
    ...guarantees(config, call),
    queue,
    delayedTo: target,
  };
}

/** The key for the delay levels; undefined when a message is better held by the worker. */
export function delayOf(
  config: Pick<Config, 'taskDelayedDelivery' | 'taskMaxHeldDelay'>,
  ms: number,
  target: { readonly exchange: string; readonly routingKey: string },
): ReturnType<typeof delayKey> {
  if (config.taskDelayedDelivery !== 'broker' || ms <= config.taskMaxHeldDelay * 1000) return undefined;
  const seconds = Math.min(Math.floor(ms / 1000), longestDelaySeconds);
  return seconds < 1 ? undefined : delayKey(seconds, target);
}

/** Tasks are confirmed and mandatory unless that is switched off for the app or the call; how long and how often is the call's word. */
function guarantees(
  config: Config,
  call: CallOptions,
): Pick<Publication, 'confirm' | 'mandatory' | 'retry' | 'timeoutSeconds'> {
  const { confirmPublish, mandatoryPublish } = config.brokerTransportOptions;
  const confirm = confirmPublish !== false;
  const { mandatory, retry, retryPolicy } = call;
  const timeoutSeconds = publishSeconds(call);
  const policy = retry === true ? { ...config.taskPublishRetryPolicy, ...retryPolicy } : retryPolicy;
  return {
    confirm,
    mandatory: confirm && (mandatory ?? mandatoryPublish) !== false,
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    ...(retry === false ? { retry } : policy === undefined ? {} : { retry: policy }),
  };
}

/** How long a call may take to publish, where it says so. */
export function publishSeconds({ confirmTimeout, timeout }: CallOptions): number | undefined {
  if (timeout === undefined || confirmTimeout === undefined) return timeout ?? confirmTimeout;
  return Math.min(timeout, confirmTimeout);
}

function expiryMs(expires: number | Date | undefined, now: number): number | undefined {
  if (expires === undefined) return undefined;
  return expires instanceof Date ? expires.getTime() : now + expires * 1000;
}

/** What is left of a message's time when it is sent again. */
function lifeLeft(expires: OutgoingTask['expires'], now: number): number | undefined {
  const at = typeof expires === 'string' ? Date.parse(expires) : expires;
  return at === undefined || Number.isNaN(at) ? undefined : Math.max(0, Math.round(at - now));
}

function checkLimits(taskName: string, soft: number | undefined, hard: number | undefined): void {
  if (soft !== undefined && hard !== undefined && soft > hard) {
    throw new ImproperlyConfigured(
      `${taskName}: softTimeLimit (${soft} s) must not exceed timeLimit (${hard} s); the hard limit would always come first.`,
    );
  }
}

function linkList(link: LinkOption | undefined): readonly Readonly<Record<string, unknown>>[] | undefined {
  if (link === undefined) return undefined;
  return (Array.isArray(link) ? link : [link]).map(toSignatureMap);
}

const noKwargs: Readonly<Record<string, unknown>> = Object.freeze({});
const noOptions: CallOptions = Object.freeze({});
