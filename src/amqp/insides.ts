/**
 * What we take from amqplib that its types do not offer: the socket, to see bytes arrive, to write whole messages and
 * to stand before its decoder; and a few negotiated numbers. Looked up here only and checked, so that another amqplib
 * costs speed and warnings and not correctness. `test/integration/amqp-connection.test.ts` pins it.
 */
import { Duplex } from 'node:stream';
import type { Channel, ChannelModel } from 'amqplib';
import { HeaderGuard } from './header-guard.ts';

export interface Insides {
  readonly socket: Duplex & { readonly bytesRead: number };
  /** Negotiated; 0: none. */
  readonly heartbeatSeconds: number;
  /** Negotiated: bytes of the largest frame. */
  readonly frameMax: number;
  /** An alarm was in force before anybody could listen. */
  readonly isBlocked: boolean;
  /** Writes whole frames. What is written here and what amqplib writes never mix inside a frame. */
  send(frames: Uint8Array): void;
}

/** Undefined when this amqplib is not the one we know. */
export function insidesOf(model: ChannelModel): Insides | undefined {
  const inner: object = model.connection;
  if (!('stream' in inner && 'heartbeat' in inner && 'frameMax' in inner && 'sendBytes' in inner)) return undefined;
  const { stream, heartbeat, frameMax, sendBytes } = inner;
  if (!(stream instanceof Duplex) || !('bytesRead' in stream) || typeof stream.bytesRead !== 'number') return undefined;
  if (typeof heartbeat !== 'number' || typeof frameMax !== 'number' || typeof sendBytes !== 'function') {
    return undefined;
  }
  return {
    socket: stream as Insides['socket'],
    heartbeatSeconds: heartbeat,
    frameMax,
    isBlocked: 'blocked' in inner && inner.blocked === true,
    send: (frames) => {
      sendBytes.call(inner, frames); // also tells amqplib's heartbeat that something was sent
    },
  };
}

/** The number of a channel on its connection. */
export function numberOf(channel: Channel): number | undefined {
  const number = 'ch' in channel ? channel.ch : undefined;
  return typeof number === 'number' ? number : undefined;
}

/** Puts a `HeaderGuard` before amqplib's decoder, which pulls with `read()`. */
export function guardHeaders(socket: Duplex, maxBodyBytes: number | undefined): void {
  const guard = new HeaderGuard(maxBodyBytes);
  const read = socket.read;
  socket.read = (size?: number): unknown => {
    const chunk: unknown = read.call(socket, size);
    return Buffer.isBuffer(chunk) ? (guard.filter(chunk) ?? null) : chunk;
  };
}
