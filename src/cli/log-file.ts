/**
 * The log file of a program that runs on: opened without following links, opened anew on SIGHUP (after a rotation).
 * A disk that is full loses lines, not the program; stderr hears of it once, and how many they were when it takes lines again.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { CommandError, exitCodes } from './exit-codes.ts';

/** @returns a descriptor. @throws {CommandError} 73 when the file cannot be written to. */
export function openLogFile(path: string): number {
  const standard = standardStreams.get(path);
  if (standard !== undefined) return standard;
  const { O_APPEND, O_CREAT, O_NOFOLLOW = 0, O_NONBLOCK = 0, O_WRONLY } = constants;
  try {
    // Without blocking, so that a pipe nobody reads fails here instead of holding the program up.
    return openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o644);
  } catch (error) {
    const isLink = error instanceof Error && 'code' in error && error.code === 'ELOOP';
    const why = isLink ? 'it is a symbolic link, and links are not followed' : messageOf(error);
    throw new CommandError(`The log file ${path} cannot be written to: ${why}`, exitCodes.cannotCreate);
  }
}

/** They are links on Linux, and meant. */
const standardStreams: ReadonlyMap<string, number> = new Map([
  ['/dev/stdout', 1],
  ['/dev/stderr', 2],
]);

export class LogFile {
  #path: string | undefined;
  #descriptor: number | undefined;
  /** Lines since the file took the last one. */
  #lost = 0;
  readonly #complain: (text: string) => void;
  readonly #onHangUp = (): void => this.#reopen();

  constructor(complain: (text: string) => void = (text) => void process.stderr.write(text)) {
    this.#complain = complain;
  }

  /** Where lines go; undefined: not into a file. */
  get path(): string | undefined {
    return this.#path;
  }

  /**
   * From now on lines go there. SIGHUP opens the file again, unless the program sits at a terminal, where that signal
   * means that the terminal is gone.
   * @throws {CommandError} 73
   */
  open(path: string): void {
    const absolute = standardStreams.has(path) ? path : resolve(path);
    const descriptor = openLogFile(absolute);
    this.#close();
    this.#path = absolute;
    this.#descriptor = descriptor;
    process.off('SIGHUP', this.#onHangUp);
    if (process.stdin.isTTY !== true) process.on('SIGHUP', this.#onHangUp);
  }

  /** False when there is no file, or it takes no more. */
  write(text: string): boolean {
    if (this.#descriptor === undefined) return false;
    try {
      writeSync(this.#descriptor, text);
      this.#isWell();
    } catch (error) {
      this.#isLost(error); // full, or a pipe without a reader
    }
    return true;
  }

  close(): void {
    process.off('SIGHUP', this.#onHangUp);
    this.#close();
    this.#path = undefined;
  }

  #isLost(error: unknown): void {
    this.#lost += 1;
    if (this.#lost > 1 || standardStreams.has(this.#path ?? '')) return;
    this.#complain(`The log file ${this.#path} takes no more, and lines are lost: ${messageOf(error)}\n`);
  }

  #isWell(): void {
    if (this.#lost === 0) return;
    const lines = this.#lost === 1 ? '1 line was' : `${this.#lost} lines were`;
    this.#lost = 0;
    this.#complain(`The log file ${this.#path} takes lines again; ${lines} lost\n`);
  }

  #reopen(): void {
    if (this.#path === undefined) return;
    try {
      const descriptor = openLogFile(this.#path);
      this.#close();
      this.#descriptor = descriptor;
    } catch (error) {
      this.write(`${messageOf(error)}\n`); // the old file is still there to tell
    }
  }

  #close(): void {
    if (this.#descriptor !== undefined && this.#descriptor > 2) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
