/**
 * The results that the worker itself writes: those a body's report brought, and those of tasks whose body could tell
 * nothing (killed, timed out, revoked, never begun). Keeps every store in view until it settles.
 */
import type { Celery } from '../../app/index.ts';
import type { Logger, System } from '../../core/system.ts';
import type { EncodedResult } from '../../execution/index.ts';
import { encodeResult, type TaskMessage, tracebackText } from '../../message/index.ts';
import type { ResultBackend } from '../../results/index.ts';
import type { TaskCounts } from './counts.ts';

export interface TaskResultsOptions {
  readonly app: Celery;
  readonly backend: ResultBackend;
  readonly system: System;
  readonly log: Logger;
  readonly counts: TaskCounts;
  /** So many may be on their way at once; beyond that no more tasks should come. */
  readonly mostPending: number;
  /** There are more than that, or less than half of it again. */
  readonly onCrowded: (isCrowded: boolean) => void;
}

export class TaskResults {
  readonly #given: TaskResultsOptions;
  readonly #pending = new Set<Promise<void>>();
  #isCrowded = false;

  constructor(given: TaskResultsOptions) {
    this.#given = given;
  }

  /** One result for the backend, encoded; none without a backend. */
  encode(message: TaskMessage, state: string, result: unknown, traceback?: string): readonly EncodedResult[] {
    return this.#encoded({ taskId: message.id, state, result, traceback, ...ofGroup(message) });
  }

  /** The same for a task known by its id alone. */
  encodeOther(taskId: string, state: string, result: unknown, traceback?: string): readonly EncodedResult[] {
    return this.#encoded({ taskId, state, result, traceback });
  }

  failure(message: TaskMessage, error: Error): readonly EncodedResult[] {
    return this.encode(message, 'FAILURE', error, tracebackText(error));
  }

  store(result: EncodedResult, message: TaskMessage): Promise<void> {
    return this.#given.backend.store(result, {
      replyTo: message.replyTo,
      correlationId: message.correlationId ?? message.id,
    });
  }

  /** For tasks known by their id alone: whoever asks a store learns at once; over rpc:// only a message says whom to tell. */
  storeByIds(ids: readonly string[], state: string, result: unknown): void {
    const { backend } = this.#given;
    if (backend.form !== 'document') return;
    for (const taskId of ids) {
      for (const encoded of this.encodeOther(taskId, state, result)) {
        this.track(backend.store(encoded, { replyTo: undefined, correlationId: taskId }));
      }
    }
  }

  /** Stores, then settles the message, which may depend on whether that worked. */
  storeThen(
    results: readonly EncodedResult[],
    message: TaskMessage,
    settle: (isStored: boolean) => Promise<void> | void,
  ): void {
    const stored = async (): Promise<void> => {
      try {
        for (const result of results) await this.store(result, message);
      } catch (error) {
        await settle(false);
        throw error;
      }
      await settle(true);
    };
    if (results.length === 0) void settle(true);
    else this.track(stored());
  }

  /** Keeps a promise in view until it settles; its failure is logged. */
  track(work: Promise<void>): void {
    const { counts, log } = this.#given;
    const watched = work.then(undefined, (error: unknown) => {
      counts.storeFailures += 1;
      log.error({ err: error }, 'A result could not be stored');
    });
    this.#pending.add(watched);
    this.#look();
    void watched.then(() => {
      this.#pending.delete(watched);
      this.#look();
    });
  }

  /** Resolves when everything in view has settled. */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.allSettled([...this.#pending]);
  }

  /** With early acknowledgement nothing else bounds what waits for a store that is away. */
  #look(): void {
    const { log, mostPending, onCrowded } = this.#given;
    const { size: pending } = this.#pending;
    const isCrowded = this.#isCrowded ? pending * 2 >= mostPending : pending > mostPending;
    if (isCrowded === this.#isCrowded) return;
    this.#isCrowded = isCrowded;
    if (isCrowded) log.warn({ pending }, 'Results cannot be stored as fast as tasks end: no more are taken meanwhile');
    else log.info({ pending }, 'Results are stored again: tasks are taken again');
    onCrowded(isCrowded);
  }

  #encoded(result: Parameters<typeof encodeResult>[0]): readonly EncodedResult[] {
    const { app, backend, system } = this.#given;
    if (backend.form === 'none') return none;
    const options = { form: backend.form, serializer: app.config.resultSerializer };
    return [encodeResult({ ...result, dateDone: system.now() }, options, app.codec)];
  }
}

function ofGroup({ group, parentId }: TaskMessage): { groupId: string | undefined; parentId: string | undefined } {
  return { groupId: group, parentId };
}

const none: readonly EncodedResult[] = Object.freeze([]);
