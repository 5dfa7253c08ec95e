/**
 * Frames: one octet of type, a channel number, a size, the payload and an end octet. The parser takes the socket's chunks
 * as they come, keeps an unfinished frame as a list of chunks (a frame sent byte by byte is joined once, not each time),
 * and refuses a size above the negotiated maximum before it has come.
 */
import { Buffer } from 'node:buffer';
import { WireError } from './bytes.ts';

export const frameMethod = 1;
export const frameHeader = 2;
export const frameBody = 3;
export const frameHeartbeat = 8;
export const frameEnd = 0xce;
/** Bytes of a frame around its payload. */
export const frameOverhead = 8;

/** Bytes that are no frames: where the next one begins is not known. */
export class FrameError extends WireError {
  static override readonly name: string = 'FrameError';
}

/** Called with each whole frame: its payload lies in `buffer` from `start` to `end`, and only until the call returns. */
export type OnFrame = (type: number, channel: number, buffer: Buffer, start: number, end: number) => void;

export class FrameParser {
  #chunks: Buffer[] = [];
  #held = 0;
  /** Bytes needed before there is any use in looking again. */
  #wanted = 0;
  #frameMax: number;
  readonly #onFrame: OnFrame;

  constructor(frameMax: number, onFrame: OnFrame) {
    this.#frameMax = frameMax;
    this.#onFrame = onFrame;
  }

  set frameMax(bytes: number) {
    this.#frameMax = bytes;
  }

  /** @throws {FrameError} on a frame that is too large or does not end where it should */
  push(chunk: Buffer): void {
    let buffer = chunk;
    if (this.#held > 0) {
      this.#chunks.push(chunk);
      this.#held += chunk.length;
      if (this.#held < this.#wanted) return;
      buffer = Buffer.concat(this.#chunks, this.#held);
      this.#chunks = [];
      this.#held = 0;
    }
    const rest = this.#walk(buffer);
    if (rest < buffer.length) {
      this.#chunks.push(rest === 0 ? buffer : buffer.subarray(rest));
      this.#held = buffer.length - rest;
    }
  }

  /** Hands out the whole frames; returns where the unfinished one begins. */
  #walk(buffer: Buffer): number {
    let at = 0;
    while (buffer.length - at >= 7) {
      const size = buffer.readUInt32BE(at + 3);
      // RabbitMQ takes a payload of frame_max too, 8 bytes more than the agreement says.
      if (size > this.#frameMax) {
        throw new FrameError(`a frame of type ${buffer[at]} has ${size} bytes, the maximum is ${this.#frameMax}`);
      }
      const end = at + 7 + size;
      if (end >= buffer.length) {
        this.#wanted = end + 1 - at;
        return at;
      }
      if (buffer[end] !== frameEnd)
        throw new FrameError(`a frame ends with octet ${buffer[end]} instead of ${frameEnd}`);
      this.#onFrame(buffer.readUInt8(at), buffer.readUInt16BE(at + 1), buffer, at + 7, end);
      at = end + 1;
    }
    this.#wanted = 7;
    return at;
  }
}
