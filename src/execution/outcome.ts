/**
 * The words between the worker's main process and whatever runs a body: a `Job` goes in, a `Report` comes out.
 * All of them are plain values that survive a pipe between processes (bodies are bytes, everything else JSON).
 */
import type { DeliveryInfo, MessageProperties, Publication } from '../core/envelope.ts';
import type { EncodedResult } from '../message/index.ts';

export type { EncodedResult };

/** One run that a pool is asked for. The body is still encoded: only `trace.ts` reads it, where the task runs. */
export interface Job {
  /** The task id. Not unique in a worker's life: a retried task comes back under the same one. */
  readonly id: string;
  readonly task: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly properties: MessageProperties;
  readonly deliveryInfo: DeliveryInfo;
  readonly body: Uint8Array;
  /** Seconds; undefined: none. */
  readonly softTimeLimit: number | undefined;
  /** Seconds; undefined: none. */
  readonly timeLimit: number | undefined;
  /** How often a process was lost while running this message. */
  readonly crashes: number;
  /** Run in the caller's process, without a broker (`apply`, `taskAlwaysEager`). */
  readonly isEager?: boolean;
}

/** How a run ended. */
export type Outcome =
  | { readonly kind: 'succeeded'; readonly runtimeSeconds: number; readonly resultRepr: string }
  | {
      readonly kind: 'failed';
      readonly runtimeSeconds: number;
      readonly exceptionRepr: string;
      readonly traceback: string;
      /** One of the task's `throws`: expected, logged at info without a stack. */
      readonly isExpected: boolean;
    }
  | {
      readonly kind: 'retrying';
      readonly reasonRepr: string;
      readonly traceback: string;
      readonly delaySeconds: number;
    }
  | { readonly kind: 'ignored' }
  | { readonly kind: 'rejected'; readonly requeue: boolean; readonly reason: string }
  /** The body could not be read: the message is rejected without requeue. */
  | { readonly kind: 'undecodable'; readonly reason: string }
  /** The hard time limit passed; the pool ended what ran it. */
  | { readonly kind: 'timed out'; readonly limitSeconds: number }
  /** The child is gone: exit code or signal in `reason`. */
  | { readonly kind: 'lost'; readonly reason: string }
  /** The pool ended it because it was asked to (`revoke` with terminate). `killSignal` as given, `SIGTERM` say. */
  | { readonly kind: 'terminated'; readonly killSignal: string }
  /** The run was given back untouched or unfinished (a sibling slot's child was ended, a cold shutdown): re-sent or requeued, uncounted. */
  | { readonly kind: 'returned'; readonly reason: string };

/** What a run wants done, in this order: publish and confirm all, store the result, then settle the message. */
export interface Report {
  readonly outcome: Outcome;
  readonly publications: readonly Publication[];
  readonly results: readonly EncodedResult[];
}

/** What a run says while it is under way. */
export interface RunListener {
  /** The body is about to run, in the process `pid`. `at` is epoch ms. */
  started(pid: number, at: number): void;
  /** A state of the task's own (`updateState`, `progress`, STARTED) to store now. */
  state(result: EncodedResult): void;
  /** An event of the task's own (`self.sendEvent`). */
  event(type: string, fields: Readonly<Record<string, unknown>>): void;
}
