/**
 * One run of one body: its request (read from the message when somebody asks), its `self`, and what it gathers for the
 * end. Everything is made on first use, since most bodies ask for none of it.
 */
import type { Signature } from '../canvas/index.ts';
import type { DeliveryInfo, MessageProperties, Publication } from '../core/envelope.ts';
import { CeleryError, Ignore, ImproperlyConfigured } from '../core/errors.ts';
import {
  decodeTask,
  type ExtendedResult,
  encodeResult,
  type TaskBody,
  type TaskMessage,
  toOutgoing,
} from '../message/index.ts';
import { type AnyTask, BoundTask, definition, type RetryOptions, type Run, type TaskRequest } from '../task/index.ts';
import type { Abort } from './abort.ts';
import { expand } from './follow-ups.ts';
import type { Address, ExecutionHost } from './host.ts';
import type { EncodedResult, Job, RunListener } from './outcome.ts';

export class TaskRun implements Run {
  readonly host: ExecutionHost;
  readonly task: AnyTask;
  readonly job: Job;
  readonly body: TaskBody;
  readonly abort: Abort;
  readonly listener: RunListener;
  /** Monotonic ms. */
  readonly startedAt: number;
  readonly publications: Publication[] = [];
  readonly children: unknown[] = [];
  readonly pendingSends = new Set<Promise<unknown>>();
  /** What the body has put in its place. */
  replacement: Signature | undefined;
  #message: TaskMessage | undefined;
  #request: TaskRequest | undefined;
  #self: BoundTask | undefined;

  constructor(host: ExecutionHost, task: AnyTask, job: Job, body: TaskBody, abort: Abort, listener: RunListener) {
    this.host = host;
    this.task = task;
    this.job = job;
    this.body = body;
    this.abort = abort;
    this.listener = listener;
    this.startedAt = host.system.monotonic();
  }

  /** Headers and properties, decoded. */
  get message(): TaskMessage {
    this.#message ??= decodeTask(
      { properties: this.job.properties, headers: this.job.headers, body: this.job.body },
      this.host.codec,
    );
    return this.#message;
  }

  get signal(): AbortSignal {
    return this.abort.signal;
  }

  get runtimeSeconds(): number {
    return (this.host.system.monotonic() - this.startedAt) / 1000;
  }

  get request(): TaskRequest {
    this.#request ??= new MessageRequest(this);
    return this.#request;
  }

  get self(): BoundTask {
    this.#self ??= this.#bind();
    return this.#self;
  }

  /** The header wins over the task's option. */
  get ignoresResult(): boolean {
    const header = this.job.headers.ignore_result;
    return typeof header === 'boolean' ? header : this.task[definition].resolved().ignoreResult;
  }

  /** A result for the backend, encoded; undefined when there is no backend. @throws {EncodeError} */
  encode(taskId: string, state: string, result: unknown, traceback?: string): EncodedResult | undefined {
    const { host } = this;
    if (host.resultForm === 'none') return undefined;
    const isOwn = taskId === this.job.id;
    return encodeResult(
      {
        taskId,
        state,
        result,
        traceback,
        children: isOwn ? this.children : [],
        dateDone: host.system.now(),
        ...(isOwn ? { groupId: this.message.group, parentId: this.message.parentId } : {}),
        ...(host.resultExtended && isOwn ? { extended: this.#extended() } : {}),
      },
      { form: host.resultForm, serializer: host.resultSerializer },
      host.codec,
    );
  }

  #extended(): ExtendedResult {
    return {
      name: this.task.name,
      args: this.body.args,
      kwargs: this.body.kwargs,
      worker: this.host.nodeName,
      retries: this.message.retries,
      queue: this.job.deliveryInfo.routingKey,
      stampedHeaders: this.message.stampedHeaders,
      stamps: this.message.stamps,
    };
  }

  #bind(): BoundTask {
    const { host, job, task } = this;
    return new BoundTask(task, () => this, {
      log: host.system.log.child({ name: 'celery.task', task: task.name, taskId: job.id }),
      updateState: (state, meta) => {
        const encoded = this.ignoresResult ? undefined : this.encode(job.id, state, meta);
        if (encoded !== undefined) this.listener.state(encoded);
      },
      sendEvent: (type, fields) => this.listener.event(type, { ...fields, uuid: job.id }),
      scheduleRetry: (options) => this.#scheduleRetry(options),
      replace: (signature) => this.#replace(signature),
      isAborted: () => host.isAborted(job.id),
    });
  }

  /** The same message again: id, group, root, callbacks and headers kept, one more retry (protocol 5.6). */
  #scheduleRetry(options: RetryOptions & { readonly etaMs: number }): void {
    const { host, job, message } = this;
    const changes = {
      eta: options.etaMs,
      retries: message.retries + 1,
      parentId: message.parentId ?? job.id,
      ...dropAbsent({
        args: options.args,
        kwargs: options.kwargs,
        expires: options.expires === undefined ? undefined : expiryMs(options.expires, host.system.now()),
        priority: options.priority,
        timeLimit: options.timeLimit,
        softTimeLimit: options.softTimeLimit,
      }),
    };
    let again = toOutgoing(message, this.body, changes, job.body);
    if (options.headers !== undefined) again = { ...again, headers: { ...again.headers, ...options.headers } };
    const publication = host.prepareMessage(again, sameAddress(job.deliveryInfo, options));
    if (publication !== undefined) this.publications.push(publication);
  }

  /** Another signature under this task's id and with what was to follow it (protocol 5.7). */
  #replace(signature: Signature): never {
    const { job, message, request, host } = this;
    const map = { ...signature.toJSON() };
    const isEmptyChain = map.subtask_type === 'chain' && JSON.stringify(map.kwargs) === '{"tasks":[]}';
    if (isEmptyChain) throw new ImproperlyConfigured('A task cannot be replaced by an empty chain.');
    if (map.subtask_type === 'group' || map.subtask_type === 'chord') {
      throw new CeleryError('A task can be replaced by a task or a chain; a group or chord is not supported.');
    }
    const { calls } = expand(
      map,
      [],
      { task_id: job.id },
      { parentId: job.id, rootId: request.rootId, newId: () => host.system.newId() },
    );
    for (const call of calls) {
      const publication = host.prepareCall({
        ...call,
        options: {
          replyTo: message.replyTo,
          groupId: message.group,
          groupIndex: message.groupIndex,
          ...call.options,
          replacedTaskNesting: message.replacedTaskNesting + 1,
          ...joinContinuation(call.options, this.#continuation()),
        },
      });
      if (publication !== undefined) this.publications.push(publication);
    }
    this.replacement = signature;
    throw new Ignore('Replaced by another task');
  }

  #continuation(): Continuation {
    const { callbacks, errbacks, chain, chord } = this.body.embed;
    return {
      link: callbacks ?? [],
      linkError: errbacks ?? [],
      chain: chain ?? [],
      ...(chord === undefined ? {} : { chord }),
      stampedHeaders: this.message.stampedHeaders,
      stamps: this.message.stamps,
    };
  }
}

interface Continuation {
  readonly link: readonly Readonly<Record<string, unknown>>[];
  readonly linkError: readonly Readonly<Record<string, unknown>>[];
  readonly chain: readonly unknown[];
  readonly chord?: unknown;
  readonly stampedHeaders: readonly string[];
  readonly stamps: Readonly<Record<string, unknown>>;
}

function joinContinuation(
  own: { readonly link?: unknown; readonly linkError?: unknown; readonly chain?: readonly unknown[] | undefined },
  rest: Continuation,
): Continuation {
  const list = (value: unknown): Continuation['link'] =>
    value === undefined || value === null ? [] : Array.isArray(value) ? value : [value as Continuation['link'][number]];
  return {
    ...rest,
    link: [...list(own.link), ...rest.link],
    linkError: [...list(own.linkError), ...rest.linkError],
    // Last first: what was to follow the replaced task comes after the replacement's own links.
    chain: [...rest.chain, ...(own.chain ?? [])],
  };
}

/** A retry goes back where it came from: to the queue by name, or to the same exchange and key. */
function sameAddress(info: DeliveryInfo, options: Pick<RetryOptions, 'queue' | 'exchange' | 'routingKey'>): Address {
  if (options.queue !== undefined) return { queue: options.queue };
  if (options.exchange !== undefined || options.routingKey !== undefined) {
    return {
      exchange: options.exchange ?? info.exchange,
      routingKey: options.routingKey ?? info.routingKey,
    };
  }
  return { exchange: info.exchange, routingKey: info.routingKey };
}

function expiryMs(expires: number | Date, now: number): number {
  return expires instanceof Date ? expires.getTime() : now + expires * 1000;
}

function dropAbsent<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}

/** `self.request`, each field read when asked for. */
class MessageRequest implements TaskRequest {
  readonly #run: TaskRun;

  constructor(run: TaskRun) {
    this.#run = run;
  }

  get #message(): TaskMessage {
    return this.#run.message;
  }

  get id(): string {
    return this.#run.job.id;
  }
  get task(): string {
    return this.#run.job.task;
  }
  get args(): readonly unknown[] {
    return this.#run.body.args;
  }
  get kwargs(): Readonly<Record<string, unknown>> {
    return this.#run.body.kwargs;
  }
  get retries(): number {
    return this.#message.retries;
  }
  get eta(): number | undefined {
    return this.#message.eta;
  }
  get expires(): number | undefined {
    return this.#message.expires;
  }
  get rootId(): string {
    return this.#message.rootId ?? this.id;
  }
  get parentId(): string | undefined {
    return this.#message.parentId;
  }
  get group(): string | undefined {
    return this.#message.group;
  }
  get groupIndex(): number | undefined {
    return this.#message.groupIndex;
  }
  get origin(): string | undefined {
    return this.#message.origin;
  }
  get hostname(): string {
    return this.#run.host.nodeName;
  }
  get replyTo(): string | undefined {
    return this.#message.replyTo;
  }
  get correlationId(): string | undefined {
    return this.#message.correlationId;
  }
  get timelimit(): readonly [number | undefined, number | undefined] {
    return [this.#message.timeLimit, this.#message.softTimeLimit];
  }
  get timeLimit(): number | undefined {
    return this.#run.job.timeLimit;
  }
  get softTimeLimit(): number | undefined {
    return this.#run.job.softTimeLimit;
  }
  get shadow(): string | undefined {
    return this.#message.shadow;
  }
  get ignoreResult(): boolean {
    return this.#run.ignoresResult;
  }
  get isEager(): boolean {
    return this.#run.job.isEager === true;
  }
  get calledDirectly(): boolean {
    return false;
  }
  get redelivered(): boolean {
    return this.deliveryInfo.redelivered;
  }
  get deliveryCount(): number {
    const counted = this.headers['x-delivery-count'];
    return (typeof counted === 'number' ? counted : 0) + this.#run.job.crashes;
  }
  get deliveryInfo(): DeliveryInfo {
    return this.#run.job.deliveryInfo;
  }
  get properties(): MessageProperties {
    return this.#run.job.properties;
  }
  get headers(): Readonly<Record<string, unknown>> {
    return this.#run.job.headers;
  }
  get callbacks(): readonly unknown[] {
    return this.#run.body.embed.callbacks ?? [];
  }
  get errbacks(): readonly unknown[] {
    return this.#run.body.embed.errbacks ?? [];
  }
  get chain(): readonly unknown[] {
    return this.#run.body.embed.chain ?? [];
  }
  get chord(): unknown {
    return this.#run.body.embed.chord;
  }
  get replacedTaskNesting(): number {
    return this.#message.replacedTaskNesting;
  }
  get stampedHeaders(): readonly string[] {
    return this.#message.stampedHeaders;
  }
  get stamps(): Readonly<Record<string, unknown>> {
    return this.#message.stamps;
  }
  get children(): readonly unknown[] {
    return this.#run.children;
  }
}
