/**
 * The way out for messages of one channel: encoded as they come, written together at the end of the turn of the loop.
 * With amqplib's insides at hand the frames are ours and go straight to the socket; otherwise each message goes through
 * amqplib's `publish`, slower and with the same result.
 */
import type { Channel } from 'amqplib';
import type { Publication } from '../core/envelope.ts';
import { EncodeError, OperationalError } from '../core/errors.ts';
import { asError } from './broker-errors.ts';
import type { OpenedChannel } from './connection.ts';
import { FrameWriter } from './frames.ts';
import { numberOf } from './insides.ts';
import { wireTable } from './table.ts';

export interface Outbox {
  /**
   * Takes one message; it leaves before the next turn of the loop.
   *
   * @throws {EncodeError} when it cannot be put on the wire; nothing is sent then.
   */
  add(publication: Publication): void;
  /** Writes what is there now. */
  flush(): void;
  /** The channel is gone: nothing is written any more. */
  end(): void;
  /** Bytes the socket has not taken yet, as far as known. */
  readonly backlogBytes: number;
}

/** Beyond this it does not wait for the end of the turn. */
const flushAtBytes = 64 * 1024;

export function createOutbox(opened: OpenedChannel<Channel>): Outbox {
  const number = numberOf(opened.channel);
  const { insides } = opened.link;
  if (number === undefined || insides === undefined) return new ApiOutbox(opened.channel);
  return new FrameOutbox(number, insides);
}

class FrameOutbox implements Outbox {
  readonly #channel: number;
  readonly #insides: NonNullable<OpenedChannel<Channel>['link']['insides']>;
  readonly #writer = new FrameWriter();
  #isDue = false;
  #isOver = false;

  constructor(channel: number, insides: NonNullable<OpenedChannel<Channel>['link']['insides']>) {
    this.#channel = channel;
    this.#insides = insides;
  }

  get backlogBytes(): number {
    return this.#insides.socket.writableLength;
  }

  add(publication: Publication): void {
    this.#writer.publish(this.#channel, publication, this.#insides.frameMax);
    if (this.#writer.length >= flushAtBytes) this.flush();
    else if (!this.#isDue) {
      this.#isDue = true;
      process.nextTick(this.#onDue);
    }
  }

  flush(): void {
    const pieces = this.#writer.take();
    if (this.#isOver) return;
    const { socket } = this.#insides;
    if (pieces.length > 1) socket.cork(); // one system call, however many pieces
    for (const piece of pieces) this.#insides.send(piece);
    if (pieces.length > 1) socket.uncork();
  }

  end(): void {
    this.#isOver = true;
    this.#writer.take();
  }

  readonly #onDue = (): void => {
    this.#isDue = false;
    this.flush();
  };
}

class ApiOutbox implements Outbox {
  readonly #channel: Channel;
  #isFull = false;
  #isOver = false;

  constructor(channel: Channel) {
    this.#channel = channel;
    channel.on('drain', () => {
      this.#isFull = false;
    });
  }

  get backlogBytes(): number {
    return this.#isFull ? Number.POSITIVE_INFINITY : 0;
  }

  add(publication: Publication): void {
    if (this.#isOver) return;
    const { exchange, routingKey, mandatory, envelope } = publication;
    const { properties, body } = envelope;
    const given = Object.entries(properties).filter(([key, value]) => key !== 'headers' && value !== undefined);
    try {
      const content = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
      const options = { ...Object.fromEntries(given), headers: wireTable(envelope.headers, 'Headers'), mandatory };
      this.#isFull = !this.#channel.publish(exchange, routingKey, content, options);
    } catch (error) {
      if (error instanceof EncodeError) throw error;
      if (error instanceof Error && error.name === 'IllegalOperationError')
        throw new OperationalError('The channel is closing.', { cause: error });
      throw new EncodeError(`The message cannot be sent: ${asError(error).message}`, { cause: error });
    }
  }

  flush(): void {
    // amqplib has written it
  }

  end(): void {
    this.#isOver = true;
  }
}
