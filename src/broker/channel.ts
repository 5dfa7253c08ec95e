/**
 * One channel of a connection: which method does what. Publishing and consuming have their own files; what is about
 * exchanges and queues is here, because it is short. A refusal is thrown as an `AmqpError`; the connection answers it.
 *
 *   open -> closing (an error was sent; everything but close-ok is ignored) -> closed
 */
import type { Buffer } from 'node:buffer';
import { Consuming } from './consuming.ts';
import { isReplyName, replyQueue } from './direct-reply.ts';
import { AmqpError, noSuch, onDefaultExchange } from './errors.ts';
import { Publishing } from './publishing.ts';
import type { Queue } from './queue.ts';
import type { Vhost } from './vhost.ts';
import { ByteReader } from './wire/bytes.ts';
import { type Fields, type Method, type MethodName, methodKey, readMethod } from './wire/methods.ts';
import type { Outbox } from './wire/outbox.ts';

/** What a channel asks of its connection. */
export interface ChannelHost {
  readonly outbox: Outbox;
  readonly vhost: Vhost;
  readonly user: string;
  /** The client understands `basic.cancel` from the server. */
  readonly takesCancel: boolean;
  /** Whom exclusive queues belong to. */
  readonly identity: object;
  /** Takes nothing more from the client until `release`. */
  hold(): void;
  release(): void;
}

const publishKey = methodKey('basic.publish');

export class Channel {
  readonly number: number;
  readonly publishing: Publishing;
  readonly consuming: Consuming;
  readonly #host: ChannelHost;
  readonly #vhost: Vhost;
  #isTransactional = false;
  #isReleased = false;
  /** The queue declared last, which an empty name means. */
  #lastQueue: string | undefined;

  constructor(number: number, host: ChannelHost) {
    this.number = number;
    this.#host = host;
    this.#vhost = host.vhost;
    this.consuming = new Consuming(number, host);
    this.publishing = new Publishing(number, host, () => this.consuming.replyKey);
  }

  /** A method frame. */
  onMethod(buffer: Buffer, start: number, end: number): void {
    if (this.publishing.isExpectingContent) throw this.publishing.unexpected();
    if (end - start >= 4 && buffer.readUInt32BE(start) === publishKey) this.publishing.onPublish(buffer, start, end);
    else this.#handle(readMethod(new ByteReader(buffer, start, end)));
  }

  /** Gives everything back; what was published is confirmed first. */
  release(): void {
    this.#isReleased = true;
    this.consuming.release();
    this.publishing.release();
  }

  #send<N extends MethodName>(name: N, fields: Partial<Fields<N>> = {}): void {
    this.#host.outbox.method(this.number, name, fields);
  }

  /** Answers a definition: what is to survive a restart is on disk before the client hears of it. */
  #answer<N extends MethodName>(name: N, fields: Partial<Fields<N>> = {}): void {
    const { journal } = this.#vhost;
    if (journal === undefined || !journal.isDefining) {
      this.#send(name, fields);
      return;
    }
    this.#host.hold();
    journal.whenSynced(() => {
      if (!this.#isReleased) this.#send(name, fields);
      this.#host.release();
    });
  }

  #handle(method: Method): void {
    switch (method.name) {
      case 'channel.flow':
        if (!method.active) throw new AmqpError('NOT_IMPLEMENTED', 'active=false');
        this.#send('channel.flow-ok', { active: true });
        break;
      case 'access.request':
        this.#send('access.request-ok', { ticket: 1 });
        break;
      case 'exchange.declare':
        this.#declareExchange(method);
        if (!method.nowait) this.#answer('exchange.declare-ok');
        break;
      case 'exchange.delete':
        this.#deleteExchange(method);
        if (!method.nowait) this.#answer('exchange.delete-ok');
        break;
      case 'exchange.bind':
      case 'exchange.unbind': {
        const request = { ...method, destination: { kind: 'exchange', name: method.destination } } as const;
        if (method.name === 'exchange.bind') this.#vhost.bind(request, this.#host.identity);
        else this.#vhost.unbind(request, this.#host.identity);
        if (!method.nowait) this.#answer(`${method.name}-ok`);
        break;
      }
      case 'queue.declare':
        this.#declareQueue(method);
        break;
      case 'queue.bind':
        this.#vhost.bind(this.#bindingOf(method), this.#host.identity);
        if (!method.nowait) this.#answer('queue.bind-ok');
        break;
      case 'queue.unbind':
        this.#vhost.unbind(this.#bindingOf(method), this.#host.identity);
        this.#answer('queue.unbind-ok');
        break;
      case 'queue.purge': {
        const messageCount = this.#queue(method.queue).purge();
        if (!method.nowait) this.#send('queue.purge-ok', { messageCount });
        break;
      }
      case 'queue.delete': {
        const messageCount = this.#vhost.deleteQueue(this.#queueName(method.queue), this.#host.identity, method);
        if (!method.nowait) this.#answer('queue.delete-ok', { messageCount });
        break;
      }
      case 'basic.qos':
        this.consuming.qos(method);
        this.#send('basic.qos-ok');
        break;
      case 'basic.consume':
        this.#consume(method);
        break;
      case 'basic.cancel':
        this.consuming.cancel(method.consumerTag);
        if (!method.nowait) this.#send('basic.cancel-ok', { consumerTag: method.consumerTag });
        break;
      case 'basic.get':
        if (!this.consuming.get(this.#queue(method.queue), method.noAck)) this.#send('basic.get-empty');
        break;
      case 'basic.ack':
        this.consuming.settle('ack', method.deliveryTag, method.multiple);
        break;
      case 'basic.reject':
        this.consuming.settle(method.requeue ? 'requeue' : 'reject', method.deliveryTag, false);
        break;
      case 'basic.nack':
        this.consuming.settle(method.requeue ? 'requeue' : 'reject', method.deliveryTag, method.multiple);
        break;
      case 'basic.recover':
      case 'basic.recover-async':
        if (!method.requeue) throw new AmqpError('NOT_IMPLEMENTED', 'requeue=false');
        this.consuming.recover();
        if (method.name === 'basic.recover') this.#send('basic.recover-ok');
        break;
      case 'confirm.select':
        this.#startConfirming();
        if (!method.nowait) this.#send('confirm.select-ok');
        break;
      case 'tx.select':
        this.#startTransaction();
        this.#send('tx.select-ok');
        break;
      case 'tx.commit':
        this.#assertTransactional();
        this.#commit();
        break;
      case 'tx.rollback':
        this.#assertTransactional();
        this.publishing.rollback();
        this.consuming.rollback();
        this.#send('tx.rollback-ok');
        break;
      default:
        throw new AmqpError('COMMAND_INVALID', 'unimplemented method');
    }
  }

  #declareExchange(method: Fields<'exchange.declare'>): void {
    const { exchange: name } = method;
    if (name === '') throw new AmqpError('ACCESS_REFUSED', onDefaultExchange);
    if (method.passive) this.#vhost.needExchange(name);
    else {
      this.#vhost.declareExchange({
        name,
        type: method.type,
        isDurable: method.durable,
        isAutoDelete: method.autoDelete,
        isInternal: method.internal,
        arguments: method.arguments,
      });
    }
  }

  #deleteExchange({ exchange: name, ifUnused }: Fields<'exchange.delete'>): void {
    if (name === '') throw new AmqpError('ACCESS_REFUSED', onDefaultExchange);
    if (name.startsWith('amq.')) {
      const text = `deletion of system exchange '${name}' in vhost '${this.#vhost.name}' not allowed`;
      throw new AmqpError('ACCESS_REFUSED', text);
    }
    this.#vhost.deleteExchange(name, ifUnused);
  }

  #declareQueue(method: Fields<'queue.declare'>): void {
    if (isReplyName(method.queue)) {
      this.#declareReplyQueue(method.queue);
      return;
    }
    const { identity } = this.#host;
    const queue = method.passive
      ? this.#vhost.needQueue(method.queue, identity)
      : this.#vhost.declareQueue(
          {
            name: method.queue,
            isDurable: method.durable,
            isAutoDelete: method.autoDelete,
            owner: method.exclusive ? identity : undefined,
            arguments: method.arguments,
          },
          identity,
        );
    queue.used();
    this.#lastQueue = queue.name;
    if (method.nowait) return;
    const { name, readyCount: messageCount, consumerCount } = queue;
    this.#answer('queue.declare-ok', { queue: name, messageCount, consumerCount });
  }

  /** Asks whether somebody is there to take answers. */
  #declareReplyQueue(name: string): void {
    if (name !== replyQueue && this.#vhost.replies.find(name) === undefined) {
      throw noSuch('queue', name, this.#vhost.name);
    }
    this.#send('queue.declare-ok', { queue: name, messageCount: 0, consumerCount: 1 });
  }

  #queueName(name: string): string {
    if (name !== '') return name;
    if (this.#lastQueue === undefined) throw new AmqpError('NOT_FOUND', 'no previously declared queue');
    return this.#lastQueue;
  }

  #queue(name: string): Queue {
    return this.#vhost.needQueue(this.#queueName(name), this.#host.identity);
  }

  /** No queue and no key: the queue declared last, under its own name. */
  #bindingOf(method: Fields<'queue.unbind'>) {
    const name = this.#queueName(method.queue);
    const routingKey = method.queue === '' && method.routingKey === '' ? name : method.routingKey;
    const { exchange: source, arguments: given } = method;
    return { source, destination: { kind: 'queue', name }, routingKey, arguments: given } as const;
  }

  #consume(method: Fields<'basic.consume'>): void {
    const started = (consumerTag: string): void => {
      if (!method.nowait) this.#send('basic.consume-ok', { consumerTag });
    };
    if (method.queue === replyQueue) started(this.consuming.consumeReplies(method));
    else this.consuming.consume(this.#queue(method.queue), method, started);
  }

  #startConfirming(): void {
    if (this.#isTransactional) throw new AmqpError('PRECONDITION_FAILED', 'cannot switch from tx to confirm mode');
    this.publishing.startConfirming();
  }

  #startTransaction(): void {
    if (this.publishing.isConfirming) {
      throw new AmqpError('PRECONDITION_FAILED', 'cannot switch from confirm to tx mode');
    }
    this.#isTransactional = true;
    this.publishing.startTransaction();
    this.consuming.startTransaction();
  }

  #assertTransactional(): void {
    if (!this.#isTransactional) throw new AmqpError('PRECONDITION_FAILED', 'channel is not transactional');
  }

  /** Acknowledgements take effect even when a queue refused a publish: RabbitMQ's transactions are no more than that. */
  #commit(): void {
    try {
      this.publishing.commit();
    } finally {
      this.consuming.commit();
    }
    const { journal } = this.#vhost;
    if (journal === undefined) this.#send('tx.commit-ok');
    else {
      journal.whenSynced(() => {
        if (!this.#isReleased) this.#send('tx.commit-ok');
      });
    }
  }
}
