/**
 * What tasks write to stdout and stderr, on its way to the log: cut into lines of at most 8 KiB, and limited in rate with
 * a count of what was dropped. Nothing here waits: a task can write as fast as it likes and is only charged its own time.
 */
import { StringDecoder } from 'node:string_decoder';
import { printable } from '../../core/log-text.ts';
import type { System } from '../../core/system.ts';
import type { Stream } from './wire.ts';

export const maxLineBytes = 8192;

/** What one child may write each second, and at once after a silence. */
export interface Allowance {
  readonly lines: number;
  readonly bytes: number;
  readonly burstSeconds: number;
}

/** For stdout and stderr. */
export const outputAllowance: Allowance = { lines: 1000, bytes: 1024 * 1024, burstSeconds: 2 };
/** For a child's own logger, which is written to on purpose. */
export const logAllowance: Allowance = { lines: 5000, bytes: 4 * 1024 * 1024, burstSeconds: 4 };

/** A budget of lines and bytes that refills with time; one for each child. */
export class OutputBudget {
  readonly #monotonic: () => number;
  readonly #allowance: Allowance;
  #lines: number;
  #bytes: number;
  #filledAt: number;
  #droppedBytes = 0;
  #droppedLines = 0;

  constructor(system: Pick<System, 'monotonic'>, allowance: Allowance = outputAllowance) {
    this.#monotonic = () => system.monotonic();
    this.#allowance = allowance;
    this.#lines = allowance.lines * allowance.burstSeconds;
    this.#bytes = allowance.bytes * allowance.burstSeconds;
    this.#filledAt = this.#monotonic();
  }

  /** Nothing left: whole chunks may be dropped unread. */
  get isExhausted(): boolean {
    if (this.#lines >= 1 && this.#bytes >= 1) return false;
    this.#refill();
    return this.#lines < 1 || this.#bytes < 1;
  }

  /** Whether this line may go on; counts it either way. */
  take(line: string): boolean {
    if (this.isExhausted) {
      this.drop(line.length + 1, 1);
      return false;
    }
    this.#lines -= 1;
    this.#bytes -= line.length;
    return true;
  }

  drop(bytes: number, lines = 0): void {
    this.#droppedBytes += bytes;
    this.#droppedLines += lines;
  }

  /** The sentence about what was dropped since it was asked last, once there is budget again; undefined: nothing. */
  takeDropped(): string | undefined {
    if (this.#droppedBytes === 0) return undefined;
    const lines = this.#droppedLines > 0 ? ` (with ${this.#droppedLines} whole lines)` : '';
    const sentence = `[${this.#droppedBytes} bytes of output dropped${lines}: more than the log takes from one process]`;
    this.#droppedBytes = 0;
    this.#droppedLines = 0;
    return sentence;
  }

  #refill(): void {
    const now = this.#monotonic();
    const seconds = (now - this.#filledAt) / 1000;
    if (seconds < 0.05) return;
    this.#filledAt = now;
    const { lines, bytes, burstSeconds } = this.#allowance;
    this.#lines = Math.min(lines * burstSeconds, this.#lines + seconds * lines);
    this.#bytes = Math.min(bytes * burstSeconds, this.#bytes + seconds * bytes);
  }
}

/** One stream of one task, cut into lines. */
export class LineCutter {
  readonly #budget: OutputBudget;
  readonly #emit: (line: string) => void;
  #decoder: StringDecoder | undefined;
  #partial = '';
  #isOverlong = false;
  /** Inside a line whose begin was dropped. */
  #isSkipping = false;

  constructor(budget: OutputBudget, emit: (line: string) => void) {
    this.#budget = budget;
    this.#emit = emit;
  }

  write(chunk: string | Uint8Array): void {
    if (this.#budget.isExhausted) {
      this.#budget.drop(chunk.length);
      this.#partial = '';
      this.#isOverlong = false;
      const last = chunk[chunk.length - 1];
      this.#isSkipping = !(last === '\n' || last === 10);
      return;
    }
    const text = typeof chunk === 'string' ? chunk : this.#decode(chunk);
    let from = 0;
    for (;;) {
      const newline = text.indexOf('\n', from);
      this.#gather(text, from, newline === -1 ? text.length : newline);
      if (newline === -1) return;
      this.#endLine();
      from = newline + 1;
    }
  }

  /** Nothing more comes: what is there is a line. */
  end(): void {
    if (this.#partial !== '') this.#endLine();
  }

  #gather(text: string, from: number, to: number): void {
    if (this.#isSkipping || this.#isOverlong) {
      this.#budget.drop(to - from);
      return;
    }
    const room = maxLineBytes - this.#partial.length;
    this.#partial += text.slice(from, Math.min(to, from + room));
    if (to - from <= room) return;
    this.#isOverlong = true;
    this.#budget.drop(to - from - room);
  }

  #endLine(): void {
    const line = this.#isOverlong ? `${bounded(this.#partial)} [cut]` : bounded(this.#partial);
    const isWhole = !this.#isSkipping;
    this.#partial = '';
    this.#isOverlong = false;
    this.#isSkipping = false;
    // A task's output cannot draw on the terminal that shows the log.
    if (isWhole && this.#budget.take(line)) this.#emit(printable(line));
  }

  #decode(chunk: Uint8Array): string {
    this.#decoder ??= new StringDecoder('utf8');
    return this.#decoder.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
  }
}

/** At most `maxLineBytes` of UTF-8, without a carriage return at the end. */
function bounded(line: string): string {
  const text = line.endsWith('\r') ? line.slice(0, -1) : line;
  if (text.length * 3 <= maxLineBytes || Buffer.byteLength(text) <= maxLineBytes) return text;
  return new StringDecoder('utf8').write(Buffer.from(text).subarray(0, maxLineBytes));
}

/** Whoever wrote: a running task, or nobody known. */
export interface Writer {
  write(stream: Stream, chunk: string | Uint8Array): void;
}

/**
 * Replaces `write` of stdout and stderr until the returned function is called. `writerHere` says who is writing;
 * undefined lets the text through to the stream.
 */
export function captureOutput(writerHere: () => Writer | undefined): () => void {
  const undo = (['stdout', 'stderr'] as const).map((name) => {
    const stream = process[name];
    const original = stream.write;
    const isOwn = Object.hasOwn(stream, 'write');
    const write = (
      chunk: string | Uint8Array,
      encoding?: BufferEncoding | ((error?: Error | null) => void),
      done?: (error?: Error | null) => void,
    ): boolean => {
      const writer = writerHere();
      if (writer === undefined) return Reflect.apply(original, stream, [chunk, encoding, done]);
      const isText = typeof chunk === 'string';
      const isPlain = typeof encoding !== 'string' || encoding === 'utf8' || encoding === 'utf-8';
      if (isText || chunk instanceof Uint8Array) {
        writer.write(name, isText && !isPlain ? Buffer.from(chunk, encoding) : chunk);
      }
      const callback = typeof encoding === 'function' ? encoding : done;
      if (callback !== undefined) process.nextTick(callback);
      return true;
    };
    stream.write = write;
    return () => {
      if (stream.write !== write) return; // somebody replaced it after us, and keeps ours below
      if (isOwn) stream.write = original;
      else Reflect.deleteProperty(stream, 'write');
    };
  });
  return () => {
    for (const one of undo) one();
  };
}
