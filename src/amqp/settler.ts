/**
 * Acknowledgements and rejections of one channel on their way to the broker: those of one batch leave as one write. With
 * amqplib's insides at hand the frames are ours; otherwise each goes through amqplib, which writes it alone.
 * AMQP 0-9-1: basic.ack (60, 80) and basic.reject (60, 90), each a long long and one octet.
 */
import type { Channel, Message } from 'amqplib';
import type { AckSender } from './ack-ledger.ts';
import type { OpenedChannel } from './connection.ts';
import { numberOf } from './insides.ts';
import type { AmqpMetrics } from './metrics.ts';

export function createSettler(opened: OpenedChannel<Channel>, metrics: AmqpMetrics): AckSender {
  const number = numberOf(opened.channel);
  const { insides } = opened.link;
  return number === undefined || insides === undefined
    ? new ApiSettler(opened.channel, metrics)
    : new FrameSettler(number, insides, metrics);
}

const frameBytes = 21;
const payloadBytes = 13;
const basicAck = 0x003c0050;
const basicReject = 0x003c005a;

class FrameSettler implements AckSender {
  readonly #channel: number;
  readonly #insides: NonNullable<OpenedChannel<Channel>['link']['insides']>;
  readonly #metrics: AmqpMetrics;
  #frames: Buffer[] = [];

  constructor(channel: number, insides: NonNullable<OpenedChannel<Channel>['link']['insides']>, metrics: AmqpMetrics) {
    this.#channel = channel;
    this.#insides = insides;
    this.#metrics = metrics;
  }

  ack(tag: number, multiple: boolean): void {
    this.#metrics.ackFrames += 1;
    this.#frames.push(this.#frame(basicAck, tag, multiple));
  }

  reject(tag: number, requeue: boolean): void {
    this.#frames.push(this.#frame(basicReject, tag, requeue));
  }

  write(): void {
    const frames = this.#frames;
    this.#frames = [];
    const [first] = frames;
    if (first === undefined || this.#insides.socket.destroyed) return; // what was not sent is delivered again
    this.#insides.send(frames.length === 1 ? first : Buffer.concat(frames));
  }

  #frame(method: number, tag: number, bit: boolean): Buffer {
    const frame = Buffer.allocUnsafe(frameBytes);
    frame[0] = 1; // a method
    frame.writeUInt16BE(this.#channel, 1);
    frame.writeUInt32BE(payloadBytes, 3);
    frame.writeUInt32BE(method, 7);
    frame.writeUInt32BE(Math.floor(tag / 2 ** 32), 11);
    frame.writeUInt32BE(tag % 2 ** 32, 15);
    frame[19] = bit ? 1 : 0;
    frame[20] = 0xce;
    return frame;
  }
}

class ApiSettler implements AckSender {
  readonly #channel: Channel;
  readonly #metrics: AmqpMetrics;

  constructor(channel: Channel, metrics: AmqpMetrics) {
    this.#channel = channel;
    this.#metrics = metrics;
  }

  ack(tag: number, multiple: boolean): void {
    this.#metrics.ackFrames += 1;
    this.#send(() => this.#channel.ack(withTag(tag), multiple));
  }

  reject(tag: number, requeue: boolean): void {
    this.#send(() => this.#channel.reject(withTag(tag), requeue));
  }

  write(): void {
    // amqplib has written each already
  }

  #send(write: () => void): void {
    try {
      write();
    } catch {
      this.#metrics.staleAcks += 1; // the channel is closing, and what it has not seen is delivered again
    }
  }
}

/** amqplib takes a message and looks at its tag only. */
function withTag(deliveryTag: number): Message {
  return { fields: { deliveryTag } } as Message;
}
