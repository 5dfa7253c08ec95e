/**
 * A delivery with its task: what the worker knows of one message from its arrival to its settlement.
 */
import { type Delivery, delayTarget, isDelayedByCelery } from '../amqp/index.ts';
import type { Celery } from '../app/index.ts';
import type { DeliveryInfo } from '../core/envelope.ts';
import { DecodeError } from '../core/errors.ts';
import type { Job } from '../execution/index.ts';
import { decodeTaskBody, type TaskBody, type TaskMessage } from '../message/index.ts';
import { type AnyTask, definition, type ResolvedOptions } from '../task/index.ts';

export class Request {
  readonly message: TaskMessage;
  readonly task: AnyTask;
  readonly options: ResolvedOptions;
  #delivery: Delivery;
  /** Epoch ms, once the body runs. */
  startedAt: number | undefined;
  /** It has waited for its turn under a rate limit. */
  hasTurn = false;
  /** The process that runs the body. */
  workerPid: number | undefined;

  constructor(message: TaskMessage, task: AnyTask, delivery: Delivery) {
    this.message = message;
    this.task = task;
    this.options = task[definition].resolved();
    this.#delivery = delivery;
  }

  get id(): string {
    return this.message.id;
  }

  /** The name to show. */
  get name(): string {
    return this.message.shadow ?? this.message.task;
  }

  /** The message wins over the task's option. */
  get ignoresResult(): boolean {
    return this.message.ignoreResult ?? this.options.ignoreResult;
  }

  get delivery(): Delivery {
    return this.#delivery;
  }

  /** Where the message came from; a delayed one's own address, not that of the delay levels. */
  get info(): DeliveryInfo {
    const { info, queue } = this.#delivery;
    // Celery's levels do not say where the message was to go; back to this queue is where it came.
    if (isDelayedByCelery(info.exchange, info.routingKey)) return { ...info, exchange: '', routingKey: queue };
    const target = delayTarget(info.exchange, info.routingKey);
    return target === undefined ? info : { ...info, ...target };
  }

  /** The broker gave the message again after a lost connection, while it still runs here: the end settles the new delivery. */
  adopt(delivery: Delivery): void {
    this.#delivery = delivery;
  }

  /** What the pool is given. Limits of the message win over those set by remote control, and these over the task's. */
  toJob(set?: { readonly soft: number | undefined; readonly hard: number | undefined }): Job {
    const { message, options } = this;
    const { body, properties } = this.#delivery.envelope;
    return {
      id: message.id,
      task: message.task,
      headers: message.headers,
      properties,
      deliveryInfo: this.info,
      body,
      softTimeLimit: message.softTimeLimit ?? (set === undefined ? options.softTimeLimit : set.soft),
      timeLimit: message.timeLimit ?? (set === undefined ? options.timeLimit : set.hard),
      crashes: message.crashes,
    };
  }
}

/** A larger body is not read in the main process: it may be what ended the other. */
const mostReadBytes = 2 ** 20;

/** The body, for what the main process has to tell of a task. @throws {DecodeError} when it is too large, or cannot be read */
export function bodyOf(app: Celery, { delivery, message }: Request): TaskBody {
  const { body, properties } = delivery.envelope;
  if (body.byteLength > mostReadBytes) {
    throw new DecodeError(`The body has ${body.byteLength} bytes: more than ${mostReadBytes} are not read here.`);
  }
  return decodeTaskBody(message.headers, properties, body, app.codec);
}
