/**
 * The worker's side of remote control: a queue of its own, a registry of handlers, and answers to the reply exchange and
 * nowhere else. Whatever arrives, the worker goes on: what cannot be read is logged and dropped, what cannot be done is
 * answered with an error.
 */
import { type Connection, Consumer, type Delivery, type Publisher, type Queue } from '../amqp/index.ts';
import { CeleryError } from '../core/errors.ts';
import { matchesGlob } from '../core/globs.ts';
import type { LogicalClock } from '../core/logical-clock.ts';
import type { System } from '../core/system.ts';
import {
  type Codec,
  type ControlRequest,
  decodeControlRequest,
  encodeControlReply,
  exceptionRepr,
  pythonRepr,
} from '../message/index.ts';
import { type ControlTopologyOptions, exchangeOnly, nodeQueue, replyExchange } from './topology.ts';

/** What a handler gives when there shall be no answer, as for `shutdown`. */
export const noReply: unique symbol = Symbol('no reply');

export type CommandHandler = (args: Readonly<Record<string, unknown>>, request: ControlRequest) => unknown;

export interface ControlNodeOptions extends ControlTopologyOptions {
  /** `celery@host`. */
  readonly node: string;
  /** The connection for consuming. */
  readonly connection: Connection;
  /**
   * Answers go out by it. Not by one on the consuming connection: under an alarm RabbitMQ stops reading a connection at
   * its first publish, acknowledgements with it (seen on 3.10), and does not take that answer either.
   */
  readonly publisher: Publisher;
  /** By command name and by alias. */
  readonly handlers: ReadonlyMap<string, CommandHandler>;
  /** `workerControlAllow`: the commands that are obeyed, by name or glob. Default: all. */
  readonly allow?: readonly string[] | undefined;
  /** Match node names with regular expressions where a request asks for it. Off by default: a pattern can take for ever. */
  readonly allowsRegularExpressions?: boolean | undefined;
  readonly codec: Codec;
  readonly clock: LogicalClock;
  readonly system: System;
  readonly serializer?: string | undefined;
  readonly accept?: ReadonlySet<string> | undefined;
  /** Called when a request is done with and its answer, if any, is on its way. */
  readonly onHandled?: ((method: string) => void) | undefined;
}

/** Requests under way at a time; more wait. */
const mostAtOnce = 32;
/** Requests that wait; more are dropped. */
const mostWaiting = 1_000;
const longestGlob = 16_384;
const longestExpression = 1_000;

export class ControlNode {
  readonly #options: ControlNodeOptions;
  readonly #replyExchange: string;
  readonly #topology: readonly Queue[];
  readonly #waiting: ControlRequest[] = [];
  #running = 0;
  #dropped = 0;
  #consumer: Consumer | undefined;

  private constructor(options: ControlNodeOptions) {
    this.#options = options;
    const exchange = replyExchange(options);
    this.#replyExchange = exchange.name;
    this.#topology = [exchangeOnly(exchange)];
  }

  /** Declares what the node needs and listens. */
  static async open(options: ControlNodeOptions): Promise<ControlNode> {
    const node = new ControlNode(options);
    const { connection, system } = options;
    node.#consumer = await Consumer.open({
      connection,
      queues: [nodeQueue(options.node, options)],
      prefetch: 0,
      noAck: true,
      onDelivery: (delivery) => node.#receive(delivery),
      onLocked: (queue) => node.#freshQueue(queue.name),
      onTrouble: ({ error, delayMs }) =>
        system.log.warn({ err: error, delayMs }, 'Remote control is out of order; trying again'),
      system,
    });
    return node;
  }

  /** Requests given up because too many came at once. */
  get dropped(): number {
    return this.#dropped;
  }

  async close(): Promise<void> {
    this.#waiting.length = 0;
    await this.#consumer?.close();
  }

  /** The name is held by a connection that died, or by a worker of the same name: listen under another one beside it. */
  #freshQueue(taken: string): Queue {
    const { node, system } = this.#options;
    const queue = nodeQueue(node, this.#options, `.${system.newId().slice(0, 8)}`);
    system.log.warn(
      { queue: queue.name, taken },
      'The control queue is still locked: by a lost connection, or by another worker with this node name',
    );
    return queue;
  }

  #receive({ envelope }: Delivery): void {
    const { codec, accept, clock, system } = this.#options;
    let request: ControlRequest;
    try {
      request = decodeControlRequest(envelope, codec, accept);
    } catch (error) {
      system.log.warn({ err: error, bytes: envelope.body.length }, 'A control message cannot be read');
      return;
    }
    clock.adjust(request.clock);
    if (!isAddressed(request, this.#options)) return;
    if (this.#waiting.length < mostWaiting) {
      this.#waiting.push(request);
      this.#next();
      return;
    }
    this.#dropped += 1;
    system.log.warn({ method: request.method, dropped: this.#dropped }, 'Too many control messages at once');
  }

  #next(): void {
    if (this.#running >= mostAtOnce) return;
    const request = this.#waiting.shift();
    if (request === undefined) return;
    this.#running += 1;
    void this.#handle(request);
  }

  async #handle(request: ControlRequest): Promise<void> {
    const { system, onHandled } = this.#options;
    const value = await this.#answer(request);
    try {
      if (value !== noReply) await this.#reply(request, value);
      onHandled?.(request.method);
    } catch (error) {
      system.log.warn({ err: error, method: request.method }, 'An answer could not be sent');
    } finally {
      this.#running -= 1;
      this.#next();
    }
  }

  async #answer(request: ControlRequest): Promise<unknown> {
    const { handlers, allow, system } = this.#options;
    const { method } = request;
    const handler = handlers.get(method);
    if (handler === undefined) {
      system.log.warn({ method }, 'An unknown control command');
      return { error: `KeyError(${pythonRepr(method)})` };
    }
    if (allow !== undefined && !allow.some((pattern) => matchesGlob(pattern, method))) {
      system.log.warn({ method }, 'A control command that is not allowed here');
      return { error: `The command ${method} is not among workerControlAllow of this worker.` };
    }
    try {
      return await handler(request.arguments, request);
    } catch (error) {
      system.log.error({ err: error, method }, 'A control command failed');
      return { error: isOurs(error) ? error.message : exceptionRepr(error) };
    }
  }

  async #reply(request: ControlRequest, value: unknown): Promise<void> {
    const { codec, clock, node, publisher, serializer, system } = this.#options;
    const { replyTo, ticket } = request;
    if (replyTo === undefined || ticket === undefined) return;
    if (replyTo.exchange !== this.#replyExchange) {
      system.log.warn(
        { method: request.method, exchange: replyTo.exchange },
        'A control message wants its answer elsewhere',
      );
      return;
    }
    const encode = (given: unknown): ReturnType<typeof encodeControlReply> =>
      encodeControlReply({ node, value: given ?? null, ticket, clock: clock.forward() }, codec, serializer);
    const { blockedReason } = publisher.connection;
    if (blockedReason !== undefined) {
      // Kept, it would come when nobody waits for it any more, and hold up those after it.
      system.log.warn({ method: request.method, reason: blockedReason }, 'The broker takes no answers now');
      return;
    }
    await publisher.declare(this.#topology);
    await publisher.publish({
      envelope: encodable(encode, value),
      exchange: this.#replyExchange,
      routingKey: replyTo.routingKey,
      confirm: false,
      mayBeDropped: true,
      mandatory: false,
    });
  }
}

/** Whether a request is for this node: named, or fitting the pattern, or for everyone. */
export function isAddressed(
  request: Pick<ControlRequest, 'destination' | 'pattern' | 'matcher'>,
  here: { readonly node: string; readonly allowsRegularExpressions?: boolean | undefined },
): boolean {
  const { destination, pattern, matcher } = request;
  if (destination !== undefined && destination.length > 0) return destination.includes(here.node);
  if (pattern === undefined || pattern === '' || matcher === undefined) return true;
  if (matcher === 'glob') return pattern.length <= longestGlob && matchesGlob(pattern, here.node);
  return (
    here.allowsRegularExpressions === true && pattern.length <= longestExpression && matchesAtStart(pattern, here.node)
  );
}

function matchesAtStart(pattern: string, text: string): boolean {
  try {
    return new RegExp(`^(?:${pattern})`).test(text);
  } catch {
    return false; // no pattern here, though it may be one in Python
  }
}

/** A value without wire form becomes the error that says so. */
function encodable<R>(encode: (value: unknown) => R, value: unknown): R {
  try {
    return encode(value);
  } catch (error) {
    return encode({ error: exceptionRepr(error) });
  }
}

/** Errors that were written to be read, bad arguments say, travel as their message; all others as Python shows its own. */
function isOurs(error: unknown): error is CeleryError {
  return error instanceof CeleryError;
}
