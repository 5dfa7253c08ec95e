/**
 * The publishing half of a channel: contents become messages, messages go to queues, and the publisher hears of it:
 * returns, confirms, transactions.
 */
import type { Buffer } from 'node:buffer';
import type { ChannelHost } from './channel.ts';
import { Confirms } from './confirms.ts';
import { ContentAssembly } from './content.ts';
import { isReplyName, replyQueue } from './direct-reply.ts';
import { AmqpError } from './errors.ts';
import type { Message } from './message.ts';
import { emptyTable, type Field, type Table, textsOf, typeNames } from './wire/field-table.ts';
import { encodeProperties } from './wire/properties.ts';

interface Publish {
  readonly message: Message;
  readonly exchange: string;
  readonly routingKeys: readonly string[];
  readonly isMandatory: boolean;
}

export class Publishing {
  readonly #channel: number;
  readonly #host: ChannelHost;
  /** The key under which answers reach this channel, if it consumes them. */
  readonly #replyKey: () => string | undefined;
  #content: ContentAssembly | undefined;
  #confirms: Confirms | undefined;
  /** Publishes to confirm when the journal's batch is on disk. */
  #unsynced: { readonly batch: number; readonly tags: number[] } = { batch: -1, tags: [] };
  /** Publishes of the open transaction. */
  #held: Publish[] | undefined;

  constructor(channel: number, host: ChannelHost, replyKey: () => string | undefined) {
    this.#channel = channel;
    this.#host = host;
    this.#replyKey = replyKey;
  }

  /** A content is under way: only its header and body may come. */
  get isExpectingContent(): boolean {
    return this.#content !== undefined;
  }

  get isConfirming(): boolean {
    return this.#confirms !== undefined;
  }

  startConfirming(): void {
    this.#confirms ??= new Confirms();
  }

  startTransaction(): void {
    this.#held ??= [];
  }

  /** A frame that is neither header nor body. */
  unexpected(): AmqpError {
    const text = this.#content?.expected ?? 'expected method frame, got non method frame instead';
    return new AmqpError('UNEXPECTED_FRAME', text);
  }

  onPublish(buffer: Buffer, start: number, end: number): void {
    this.#content = new ContentAssembly(this.#host.vhost.slabs, buffer, start, end);
  }

  onHeader(buffer: Buffer, start: number, end: number): void {
    if (this.#content === undefined) throw this.unexpected();
    this.#content.header(buffer, start, end);
    if (this.#content.isWhole) this.#finish(this.#content);
  }

  onBody(buffer: Buffer, start: number, end: number): void {
    if (this.#content === undefined) throw this.unexpected();
    this.#content.body(buffer, start, end);
    if (this.#content.isWhole) this.#finish(this.#content);
  }

  /** Publishes what the transaction held. @throws {AmqpError} when a queue refused some of it */
  commit(): void {
    const held = this.#held ?? [];
    this.#held = [];
    let isComplete = true;
    for (const publish of held) if (this.#publish(publish) === 'refused') isComplete = false;
    if (!isComplete) throw new AmqpError('PRECONDITION_FAILED', 'partial tx completion');
  }

  rollback(): void {
    this.#held = [];
  }

  /** Says what is decided, and nothing more: the channel ends. */
  release(): void {
    this.flush();
    this.#confirms = undefined;
  }

  /** Says what is decided so far. */
  readonly flush = (): void => {
    this.#confirms?.flush((kind, tag, multiple) => this.#host.outbox.confirm(this.#channel, kind, tag, multiple));
  };

  #finish(content: ContentAssembly): void {
    this.#content = undefined;
    const { exchange, routingKey, isMandatory, isImmediate } = content;
    if (isImmediate) throw new AmqpError('NOT_IMPLEMENTED', 'immediate=true');
    const { message: given, steering } = content.finish();
    const { user } = this.#host;
    if (steering.userId !== undefined && steering.userId !== user) {
      throw new AmqpError(
        'PRECONDITION_FAILED',
        `user_id property set to '${steering.userId}' but authenticated user was '${user}'`,
      );
    }
    const message = steering.replyTo === replyQueue ? this.#withReplyKey(given) : given;
    const publish =
      steering.hasHeaders && message.mayHaveCarbonKeys()
        ? withCarbonKeys(message, { exchange, routingKey, isMandatory })
        : { message, exchange, routingKeys: [routingKey], isMandatory };
    this.#checkExchange(exchange);
    if (this.#held !== undefined) this.#held.push(publish);
    else if (this.#confirms === undefined) this.#publish(publish);
    else {
      const tag = this.#confirms.next();
      const outcome = this.#publish(publish);
      if (outcome === 'stored') this.#confirmWhenSynced(tag);
      else this.#confirms.decide(tag, outcome === 'refused' ? 'nack' : 'ack');
      this.#host.outbox.beforeFlush(this.flush);
    }
  }

  /** Confirms once the disk has it; those of one batch together. */
  #confirmWhenSynced(tag: number): void {
    const { journal } = this.#host.vhost;
    if (journal === undefined) return;
    if (this.#unsynced.batch !== journal.batch) {
      const tags: number[] = [];
      this.#unsynced = { batch: journal.batch, tags };
      journal.whenSynced(() => {
        for (const each of tags) this.#confirms?.decide(each, 'ack');
        this.#host.outbox.beforeFlush(this.flush);
      });
    }
    this.#unsynced.tags.push(tag);
  }

  #checkExchange(name: string): void {
    const { spec } = this.#host.vhost.needExchange(name);
    if (!spec.isInternal) return;
    throw new AmqpError(
      'ACCESS_REFUSED',
      `cannot publish to internal exchange '${name}' in vhost '${this.#host.vhost.name}'`,
    );
  }

  #withReplyKey(message: Message): Message {
    const replyTo = this.#replyKey();
    if (replyTo === undefined) throw new AmqpError('PRECONDITION_FAILED', 'fast reply consumer does not exist');
    return message.withProperties(encodeProperties({ ...message.properties(), replyTo }));
  }

  #publish({ message, exchange: name, routingKeys, isMandatory }: Publish): 'taken' | 'stored' | 'refused' {
    const { vhost, outbox } = this.#host;
    const exchange = vhost.exchange(name);
    let isRouted = false;
    let isRefused = false;
    let isStored = false;
    const key = routingKeys[0] ?? '';
    if (name === '' && isReplyName(key)) {
      const receiver = vhost.replies.find(key);
      receiver?.reply(message);
      isRouted = receiver !== undefined;
    } else if (exchange !== undefined) {
      for (const queue of vhost.route(exchange, routingKeys, message)) {
        isRouted = true;
        const outcome = queue.publish(message);
        if (outcome === 'refused') isRefused = true;
        else if (outcome === 'stored') isStored = true;
      }
    }
    if (!isRouted && isMandatory) outbox.returned(this.#channel, 312, 'NO_ROUTE', message);
    return isRefused ? 'refused' : isStored ? 'stored' : 'taken';
  }
}

/** More keys from the headers `CC` and `BCC`; the latter is taken off the message. */
function withCarbonKeys(
  message: Message,
  { exchange, routingKey, isMandatory }: { exchange: string; routingKey: string; isMandatory: boolean },
): Publish {
  const properties = message.properties();
  const headers: Table = properties.headers ?? emptyTable;
  const blind = keysIn('BCC', headers.get('BCC'));
  const routingKeys = [routingKey, ...keysIn('CC', headers.get('CC')), ...blind];
  if (!headers.has('BCC')) return { message, exchange, routingKeys, isMandatory };
  const kept = new Map(headers);
  kept.delete('BCC');
  const encoded = encodeProperties({ ...properties, headers: kept });
  return { message: message.withProperties(encoded, blind), exchange, routingKeys, isMandatory };
}

function keysIn(name: 'CC' | 'BCC', list: Field | undefined): readonly string[] {
  if (list === undefined || list.type === 'V') return [];
  if (list.type === 'A') return textsOf(list);
  throw new AmqpError(
    'PRECONDITION_FAILED',
    `invalid message: {unacceptable_type_in_header,"${name}",${typeNames[list.type]}}`,
  );
}
