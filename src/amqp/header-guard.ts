/**
 * Stands between the socket and amqplib and makes message headers digestible, because one that amqplib cannot decode
 * ends the whole connection, and the message comes back with the next one: a worker would never live again.
 * RabbitMQ passes header tables on as they were sent, so any peer can send these (amqplib 2.3.1):
 *
 *   integers beyond 32 bits from Python (py-amqp writes tag `L`)   → tag `l`, the same eight bytes
 *   tables nested deeper than amqplib's stack reaches              → bytes (`x` is laid out as `F` and `A` are)
 *   a field `__proto__` (amqplib would set a prototype)            → named `__Proto__`
 *
 * It also lets no body through that is larger than asked for: amqplib would gather all of it, and copy it once more,
 * before anybody could refuse it. In its place goes a short one that says how large it was (`oversizeOf`).
 *
 * Only lengths are followed and single bytes changed in place; 0.3 us for a Celery message. Everything else goes through
 * untouched, as it comes.
 */

const frameHeaderBytes = 7;
const contentHeader = 2;
const contentBody = 3;
const frameEnd = 0xce;
const deepest = 64;
/** A frame that claims more is no frame; amqplib says so. */
const largestHeldBytes = 16 * 1024 * 1024;

const tag = { L: 0x4c, l: 0x6c, F: 0x46, A: 0x41, S: 0x53, x: 0x78, V: 0x56 } as const;

/** Bytes of each fixed-size value by its tag. */
const fixedBytes: ReadonlyMap<number, number> = new Map(
  Object.entries({ t: 1, b: 1, B: 1, s: 2, u: 2, I: 4, i: 4, l: 8, L: 8, f: 4, d: 8, D: 5, T: 8, V: 0 }).map(
    ([letter, bytes]) => [letter.charCodeAt(0), bytes],
  ),
);

const oversizeMark = '\u0000celery-ts oversize ';

/** The size of the body in whose place this one stands; undefined: it is the message's own. */
export function oversizeOf(body: Buffer): number | undefined {
  if (body[0] !== 0 || body.length > 64) return undefined;
  const text = body.toString('latin1');
  return text.startsWith(oversizeMark) ? Number(text.slice(oversizeMark.length)) : undefined;
}

export class HeaderGuard {
  readonly #maxBodyBytes: number;
  /** The start of a frame whose rest has not come yet. */
  #held: Buffer | undefined;
  /** Bytes of a frame passed on already that are still to come. */
  #passing = 0;
  /** Bytes of a frame left out that are still to come. */
  #skipping = 0;
  /** Body bytes still to be left out, by channel. */
  readonly #dropping = new Map<number, number>();

  /** `maxBodyBytes`: larger bodies are left out. */
  constructor(maxBodyBytes = Number.POSITIVE_INFINITY) {
    this.#maxBodyBytes = maxBodyBytes;
  }

  /** What may go on to amqplib now; undefined when that is nothing yet. Changes `chunk` in place. */
  filter(chunk: Buffer): Buffer | undefined {
    const data = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk]);
    this.#held = undefined;
    const end = data.length;
    /** What goes on of `data` before `from`, where something was left out or put in. */
    const pieces: Buffer[] = [];
    let from = Math.min(this.#skipping, end);
    this.#skipping -= from;
    let at = from + Math.min(this.#passing, end - from);
    this.#passing -= at - from;
    while (at < end) {
      if (end - at < frameHeaderBytes) return this.#hold(pieces, data, from, at);
      const size = data.readUInt32BE(at + 3);
      const next = at + frameHeaderBytes + size + 1;
      const isLeftOut = data[at] === contentBody && this.#leavesOut(data.readUInt16BE(at + 1), size);
      if (isLeftOut) {
        pieces.push(data.subarray(from, at));
        from = Math.min(next, end);
        this.#skipping = next - from;
      } else if (data[at] === contentHeader && size <= largestHeldBytes) {
        if (next > end) return this.#hold(pieces, data, from, at);
        soften(data, at + frameHeaderBytes, next - 1);
        const instead = this.#limit(data, at);
        if (instead !== undefined) {
          pieces.push(data.subarray(from, next), instead);
          from = next;
        }
      } else if (next > end) {
        this.#passing = next - end;
        return joined(pieces, data.subarray(from));
      }
      at = next;
    }
    return joined(pieces, data.subarray(from));
  }

  #hold(pieces: Buffer[], data: Buffer, from: number, at: number): Buffer | undefined {
    this.#held = Buffer.from(data.subarray(at));
    return joined(pieces, data.subarray(from, at));
  }

  #leavesOut(channel: number, size: number): boolean {
    const left = this.#dropping.get(channel);
    if (left === undefined) return false;
    if (left > size) this.#dropping.set(channel, left - size);
    else this.#dropping.delete(channel);
    return true;
  }

  /** The body frame in place of a body that is too large; its size goes into the content header at `at`. */
  #limit(data: Buffer, at: number): Buffer | undefined {
    const sizeAt = at + frameHeaderBytes + 4;
    if (data.readUInt32BE(at + 3) < 12) return undefined;
    const bodyBytes = data.readUInt32BE(sizeAt) * 2 ** 32 + data.readUInt32BE(sizeAt + 4);
    if (bodyBytes <= this.#maxBodyBytes) return undefined;
    const channel = data.readUInt16BE(at + 1);
    this.#dropping.set(channel, bodyBytes);
    const body = Buffer.from(`${oversizeMark}${bodyBytes}`, 'latin1');
    data.writeUInt32BE(0, sizeAt);
    data.writeUInt32BE(body.length, sizeAt + 4);
    const head = Buffer.alloc(frameHeaderBytes);
    head[0] = contentBody;
    head.writeUInt16BE(channel, 1);
    head.writeUInt32BE(body.length, 3);
    return Buffer.concat([head, body, Buffer.from([frameEnd])]);
  }
}

function joined(pieces: readonly Buffer[], last: Buffer): Buffer | undefined {
  const whole = pieces.length === 0 ? last : Buffer.concat([...pieces, last]);
  return whole.length === 0 ? undefined : whole;
}

/** Walks to the header table of a content header payload: class, weight, body size, flags, then properties in order. */
function soften(data: Buffer, start: number, end: number): void {
  let at = start + 14;
  if (at > end) return;
  const flags = data.readUInt16BE(start + 12);
  if ((flags & 0x2000) === 0) return; // no headers
  if ((flags & 1) !== 0) return; // more flag words: AMQP has none, and amqplib reads none
  if ((flags & 0x8000) !== 0) at += 1 + (data[at] ?? 0); // content type
  if ((flags & 0x4000) !== 0) at += 1 + (data[at] ?? 0); // content encoding
  if (at + 4 > end) return;
  const tableEnd = at + 4 + data.readUInt32BE(at);
  if (tableEnd <= end) softenTable(data, at + 4, tableEnd, 1);
}

function softenTable(data: Buffer, start: number, end: number, depth: number): void {
  let at = start;
  while (at < end) {
    const nameBytes = data[at] ?? 0;
    if (nameBytes === 9 && data.toString('latin1', at + 1, at + 10) === '__proto__') data[at + 3] = 0x50; // `P`
    at = softenValue(data, at + 1 + nameBytes, end, depth);
  }
}

function softenArray(data: Buffer, start: number, end: number, depth: number): void {
  let at = start;
  while (at < end) at = softenValue(data, at, end, depth);
}

/** Returns where the next value or field begins. */
function softenValue(data: Buffer, at: number, end: number, depth: number): number {
  const kind = data[at] ?? tag.V;
  const fixed = fixedBytes.get(kind);
  if (fixed !== undefined) {
    if (kind === tag.L) data[at] = tag.l;
    return at + 1 + fixed;
  }
  const bodyStart = at + 5;
  if (bodyStart > end) return end;
  const next = bodyStart + data.readUInt32BE(at + 1);
  if (next > end) return end;
  if (kind === tag.F || kind === tag.A) {
    if (depth >= deepest) data[at] = tag.x;
    else if (kind === tag.F) softenTable(data, bodyStart, next, depth + 1);
    else softenArray(data, bodyStart, next, depth + 1);
    return next;
  }
  if (kind === tag.S || kind === tag.x) return next;
  // A tag nobody knows: its size cannot be told, so the rest of the table becomes its bytes.
  data[at] = tag.x;
  data.writeUInt32BE(end - bodyStart, at + 1);
  return end;
}
