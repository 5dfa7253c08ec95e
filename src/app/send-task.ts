/**
 * From a call to a publication: mints the id, inherits root, parent and priority from the running task, asks the
 * router where to, encodes. Sends nothing.
 */
import type { Queue } from '../amqp/index.ts';
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
  const now =
    call.countdown !== undefined || call.expires !== undefined || task?.expires !== undefined ? system.now() : 0;
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
    shadow: call.shadow ?? task?.shadowName?.(args, call.kwargs ?? noKwargs),
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
  return {
    taskId,
    publication: {
      envelope: encodeTask(outgoing, composer.codec),
      exchange: route.exchange,
      routingKey: route.routingKey,
      ...guarantees(config, call),
      queue: route.declare[0]?.name,
    },
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
  const { config } = composer;
  const options = {
    serializer: config.taskSerializer,
    compression: config.taskCompression,
    protocol: config.taskProtocol,
  };
  const { exchange, routingKey } =
    'queue' in address ? composer.router.route(task.task, { queue: address.queue }) : address;
  return {
    envelope: encodeTask({ ...options, ...task }, composer.codec),
    exchange,
    routingKey,
    ...guarantees(config, noOptions),
    queue: 'queue' in address ? address.queue : exchange === '' ? routingKey : undefined,
  };
}

/** Tasks are confirmed and mandatory unless somebody asked for Celery's way. */
function guarantees(config: Config, call: CallOptions): { confirm: boolean; mandatory: boolean } {
  const confirm = config.brokerTransportOptions.confirmPublish !== false;
  return { confirm, mandatory: confirm && call.mandatory !== false };
}

function expiryMs(expires: number | Date | undefined, now: number): number | undefined {
  if (expires === undefined) return undefined;
  return expires instanceof Date ? expires.getTime() : now + expires * 1000;
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
