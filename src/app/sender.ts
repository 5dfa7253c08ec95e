/**
 * An app's sends, from a call to its result handle: load, check, compose, declare, publish, and tell whoever listens.
 * How a call becomes a message is in `send-task.ts`, what is open in `connections.ts`.
 */
import type { Publisher, Queue } from '../amqp/index.ts';
import type { Publication } from '../core/envelope.ts';
import type { System } from '../core/system.ts';
import { checkArguments } from '../execution/index.ts';
import { type Codec, decodeTaskBody, prepared } from '../message/index.ts';
import { AsyncResult, type ResultBackend, type ResultHost } from '../results/index.ts';
import { type AnyTask, type CallOptions, currentRun, type TaskRegistry } from '../task/index.ts';
import { CallDeadline } from './call-deadline.ts';
import { Delays } from './delays.ts';
import type { Remote } from './remote.ts';
import type { Router } from './router.ts';
import { type Composed, type Composer, composeCall, publishSeconds } from './send-task.ts';
import type { Config } from './settings.ts';
import type { Signals } from './signals.ts';

/** What sending needs of the app. */
export interface SenderHost extends ResultHost {
  readonly system: System;
  readonly config: Config;
  readonly codec: Codec;
  readonly router: Router;
  readonly composer: Composer;
  readonly tasks: TaskRegistry;
  readonly signals: Signals;
  readonly remote: Remote;
  publisher(): Promise<Publisher>;
  /** The publisher and the backend where they are open already: the way of a hot path. */
  openedPublisher(): Publisher | undefined;
  openedBackend(): ResultBackend | undefined;
  /** What waits to be loaded, if anything does. */
  pendingLoad(): Promise<void> | undefined;
  applyEagerly(task: AnyTask, args: readonly unknown[], options: CallOptions): Promise<AsyncResult<unknown>>;
}

/** What signals tell of a message beside the message. */
interface Sent {
  readonly taskId: string;
  readonly args: readonly unknown[];
  readonly kwargs: unknown;
  readonly eta?: Date | undefined;
  readonly taskset?: string | undefined;
}

export class Sender {
  readonly #host: SenderHost;
  readonly #delays: Delays;
  /** Queues without priorities to which tasks with one were sent. */
  readonly #unranked = new Set<string>();

  constructor(host: SenderHost) {
    this.#host = host;
    this.#delays = new Delays(() => host.config.brokerNativeDelayedDeliveryQueueType);
  }

  /** Sends one call. `task`: the task of this app by that name, if there is one. */
  async send(
    name: string,
    args: readonly unknown[],
    options: CallOptions,
    task: AnyTask | undefined = this.#host.tasks.get(name),
  ): Promise<AsyncResult<unknown>> {
    const host = this.#host;
    const loading = host.pendingLoad();
    if (loading !== undefined) await loading;
    // The caller's input is what travels; the worker checks it again and takes what the schema makes of it.
    const isChecked = task !== undefined && (task.options.args ?? task.options.params) !== undefined;
    if (isChecked) await checkArguments(name, task.options, args, options.kwargs ?? {});
    if (host.config.taskAlwaysEager && task !== undefined) return host.applyEagerly(task, args, options);
    const deadline = this.#deadline(publishSeconds(options));
    // First the backend: its reply queue is part of the message.
    const backend = host.openedBackend() ?? (await deadline.wait(host.backend()));
    const composed = await prepared(() => this.compose(name, args, options));
    const expecting = composed.ignoreResult === true ? undefined : backend.expect(composed.taskId);
    if (expecting !== undefined) await deadline.wait(expecting);
    if (options.declare !== undefined) await deadline.wait(this.#declare(options.declare, deadline));
    if (composed.publication.envelope.properties.priority !== undefined) this.#warnOfPriority(composed.queue);
    if (this.#tellsOfPublishing()) {
      const { taskId, publication, queue } = composed;
      const { eta, groupId, kwargs = {} } = options;
      const sent = { taskId, args, kwargs, eta, taskset: groupId };
      await this.#publishWithSignals(publication, queue, name, sent, deadline);
    } else await this.publish(composed.publication, composed.queue, deadline);
    if (host.config.taskSendSentEvent) await this.#announce(name, composed, options);
    const run = currentRun();
    const isKept = options.addToParent !== false && run?.self.options.trail !== false;
    if (run !== undefined && isKept) run.children.push([[composed.taskId, null], null]);
    return new AsyncResult(composed.taskId, host, { ignored: composed.ignoreResult === true });
  }

  /** A call as it would be sent from here: a running task gives root, parent and priority. */
  compose(taskName: string, args: readonly unknown[], options: CallOptions): Composed {
    const { composer, config, tasks } = this.#host;
    const run = currentRun();
    const caller =
      run === undefined
        ? undefined
        : {
            id: run.request.id,
            rootId: run.request.rootId,
            priority: config.taskInheritParentPriority ? run.request.deliveryInfo.priority : undefined,
          };
    return composeCall(composer, taskName, args, options, tasks.get(taskName)?.options, caller);
  }

  /** Publishes what was composed, its queue (and the delay levels, where it goes through them) declared first. */
  async publish(
    publication: Publication,
    queue: Queue | undefined = this.#queueOf(publication),
    deadline: CallDeadline = this.#deadline(publication.timeoutSeconds),
  ): Promise<void> {
    const opened = this.#host.openedPublisher();
    const isReady = publication.delayedTo === undefined && (queue === undefined || opened?.isDeclared(queue) === true);
    const publisher =
      opened !== undefined && isReady ? opened : await deadline.wait(this.#ready(publication, queue, deadline));
    return publisher.publish(deadline.limited(publication));
  }

  /** Default: `publishTimeout`. */
  #deadline(limitSeconds: number | undefined): CallDeadline {
    const { config, system } = this.#host;
    return new CallDeadline(limitSeconds ?? config.publishTimeout, system);
  }

  async #declare(queues: readonly Queue[], deadline: CallDeadline): Promise<void> {
    const publisher = await this.#host.publisher();
    await publisher.declare(queues, deadline.leftSeconds);
  }

  /** The publisher, with everything declared that the publication needs. */
  async #ready(publication: Publication, queue: Queue | undefined, deadline: CallDeadline): Promise<Publisher> {
    const publisher = this.#host.openedPublisher() ?? (await this.#host.publisher());
    const { delayedTo } = publication;
    if (delayedTo !== undefined) await this.#delays.declare(publisher, delayedTo, queue, deadline.leftSeconds);
    else if (queue !== undefined && !publisher.isDeclared(queue)) {
      await publisher.declare([queue], deadline.leftSeconds);
    }
    return publisher;
  }

  /** Publishes the message of a task that a run has caused (a retry, a callback), with the signals of any other. */
  async publishFollowUp(publication: Publication): Promise<void> {
    const { headers, properties, body } = publication.envelope;
    if (!this.#tellsOfPublishing() || typeof headers.task !== 'string') return this.publish(publication);
    const { args, kwargs } = decodeTaskBody(headers, properties, body, this.#host.codec);
    const taskId = String(headers.id);
    const eta = typeof headers.eta === 'string' ? new Date(headers.eta) : undefined;
    const queue = this.#queueOf(publication);
    await this.#publishWithSignals(publication, queue, headers.task, { taskId, args, kwargs, eta });
  }

  /** A classic queue without `maxPriority` takes messages with priorities and ranks none. Said once a queue. */
  #warnOfPriority(queue: Queue | undefined): void {
    if (queue === undefined || queue.maxPriority !== undefined || this.#unranked.has(queue.name)) return;
    if (queue.queueType !== undefined && queue.queueType !== 'classic') return;
    this.#unranked.add(queue.name);
    this.#host.system.log.warn(
      { queue: queue.name },
      'A task with a priority goes to a queue that has none: give the queue maxPriority, or set taskQueueMaxPriority',
    );
  }

  #queueOf(publication: Publication): Queue | undefined {
    return publication.queue === undefined ? undefined : this.#host.router.queues.get(publication.queue);
  }

  #tellsOfPublishing(): boolean {
    const { afterTaskPublish, beforeTaskPublish, taskSent } = this.#host.signals;
    return beforeTaskPublish.hasReceivers || afterTaskPublish.hasReceivers || taskSent.hasReceivers;
  }

  async #publishWithSignals(
    publication: Publication,
    queue: Queue | undefined,
    task: string,
    sent: Sent,
    deadline?: CallDeadline,
  ): Promise<void> {
    const { signals } = this.#host;
    const { envelope, exchange, routingKey } = publication;
    const headers = { ...envelope.headers };
    const properties: Record<string, unknown> = { ...envelope.properties };
    const declare = queue === undefined ? [] : [queue];
    const news = { body: envelope.body, exchange, routingKey, headers, properties, declare };
    await signals.beforeTaskPublish.send(task, news);
    await this.publish({ ...publication, envelope: { properties, headers, body: envelope.body } }, queue, deadline);
    await signals.afterTaskPublish.send(task, news);
    const { eta, taskset } = sent;
    await signals.taskSent.send(task, { ...sent, task, eta, taskset });
  }

  /** The event `task-sent`: what went where. */
  async #announce(name: string, composed: Composed, options: CallOptions): Promise<void> {
    const { envelope, exchange, routingKey } = composed.publication;
    const { headers } = envelope;
    const events = await this.#host.remote.sentEvents();
    events.send('task-sent', {
      uuid: composed.taskId,
      rootId: headers.root_id,
      parentId: headers.parent_id,
      name,
      args: headers.argsrepr,
      kwargs: headers.kwargsrepr,
      retries: options.retries ?? 0,
      eta: headers.eta,
      expires: headers.expires,
      queue: composed.queue?.name ?? null,
      exchange,
      routingKey,
    });
  }
}
