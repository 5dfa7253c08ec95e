/**
 * Jobs handed to a child before it is free, kept takeable: each has a token, and whoever takes the token has the job.
 * The child takes one before it starts such a job; the parent takes back what is left when the child turns out to be slow
 * or is gone. So no job waits behind a long one, and none runs twice, even while the child's loop is blocked.
 *
 * The tokens are four bytes each in a shared file. A read at the shared position hands each
 * token to one reader only: the kernel locks the position. Measured with no-op tasks and two children: 50 us of CPU a task
 * with one job at a time, 24 us with up to sixteen; taking a token costs less than 2.
 */
import { closeSync, ftruncateSync, readSync, writeSync } from 'node:fs';
import { openSharedFile, tidyAtBytes } from './shared-file.ts';

const tokenBytes = 4;

/** The parent's side. */
export class Claims {
  readonly fd: number;
  /** Where the next token is written; reads have a position of their own, shared with the child. */
  #end = 0;
  #tidiedAt = 0;
  #isClosed = false;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** Undefined where it cannot work: then a child gets one job at a time. */
  static open(): Claims | undefined {
    const fd = openSharedFile();
    return fd === undefined ? undefined : new Claims(fd);
  }

  /** False: wait until no token is out, then `tidy`. */
  get hasRoom(): boolean {
    return this.#end - this.#tidiedAt < tidyAtBytes;
  }

  /** Makes these jobs takeable, in this order. Before the jobs are sent. @throws when the disk is full */
  offer(seqs: readonly number[]): void {
    const tokens = Buffer.alloc(seqs.length * tokenBytes);
    for (let at = 0; at < seqs.length; at += 1) tokens.writeUInt32LE(seqs[at] ?? 0, at * tokenBytes);
    const written = writeSync(this.fd, tokens, 0, tokens.length, this.#end);
    if (written !== tokens.length) throw new Error(`Wrote ${written} of ${tokens.length} bytes of claims.`);
    this.#end += tokens.length;
  }

  /** Takes back every job that nobody has taken. */
  recall(): number[] {
    const buffer = Buffer.alloc(64 * tokenBytes);
    const seqs: number[] = [];
    for (;;) {
      const count = readSync(this.fd, buffer, 0, buffer.length, null);
      if (count === 0) return seqs;
      for (let at = 0; at + tokenBytes <= count; at += tokenBytes) seqs.push(buffer.readUInt32LE(at));
    }
  }

  /** Only while no token is out: gives the storage back. The positions go on, so the file is sparse from here. */
  tidy(): void {
    ftruncateSync(this.fd, 0);
    this.#tidiedAt = this.#end;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.fd);
  }
}

/** The child's side. */
export class Claimant {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(tokenBytes);

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** The next job that is this child's to run; undefined: none, what was handed ahead has been taken back. */
  claim(): number | undefined {
    return readSync(this.#fd, this.#buffer, 0, tokenBytes, null) === tokenBytes
      ? this.#buffer.readUInt32LE(0)
      : undefined;
  }
}
