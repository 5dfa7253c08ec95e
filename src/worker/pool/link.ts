/**
 * The line between a pool and one child, process or thread alike: messages both ways, raw output, and one last word.
 */
import type { FromChild, Stream, ToChild } from './wire.ts';

export interface Link {
  /** The process that runs the tasks; for a thread, this process. 0: it could not be started. */
  readonly pid: number;
  /** Never throws; what is sent to a child that is gone vanishes. */
  send(message: ToChild): void;
  /** Ends the child, or sends another signal where there are any. */
  kill(signal: NodeJS.Signals): void;
}

/** How a child ended. */
export interface Departure {
  readonly exitCode: number | undefined;
  readonly killSignal: string | undefined;
  /** It could not be started, or said why it broke. */
  readonly error: Error | undefined;
}

export interface LinkEvents {
  /** Has the outer form of a message; no more is known. */
  message(message: FromChild): void;
  /** What was written past the capture in the child: by native code, by a program it started. */
  output(stream: Stream, chunk: Buffer): void;
  /** Once, after the last message. */
  gone(departure: Departure): void;
}

export interface LinkOptions {
  readonly index: number;
  /** Files that the child inherits. */
  readonly sharedFds: readonly number[];
  readonly redirectsOutput: boolean;
  readonly lostWaitMs: number;
}

/** Opens children of one kind. */
export interface Linker {
  readonly kind: 'prefork' | 'threads';
  open(options: LinkOptions, events: LinkEvents): Link;
  /** The descriptors under which a child finds `sharedFds`. */
  fdsInChild(sharedFds: readonly number[]): readonly number[];
  /** When the pool is closed. */
  close(): void;
}

/** `signal 9 (SIGKILL)` or `exitcode 3`, as in Celery's messages. */
export function describeDeparture(
  { exitCode, killSignal, error }: Departure,
  signals: Readonly<Record<string, number>>,
): string {
  if (killSignal !== undefined) return `signal ${signals[killSignal] ?? '?'} (${killSignal})`;
  if (error !== undefined) return error.message;
  return `exitcode ${exitCode ?? '?'}`;
}
