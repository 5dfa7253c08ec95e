/**
 * The results that the worker itself writes: those a body's report brought, and those of tasks whose body could tell
 * nothing (killed, timed out, revoked, never begun). Keeps every store in view until it settles.
 */
import type { Celery } from '../../app/index.ts';
import type { CeleryError } from '../../core/errors.ts';
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
}

export class TaskResults {
  readonly #given: TaskResultsOptions;
  readonly #pending = new Set<Promise<void>>();

  constructor(given: TaskResultsOptions) {
    this.#given = given;
  }

  /** One result for the backend, encoded; none without a backend. */
  encode(message: TaskMessage, state: string, result: unknown, traceback?: string): readonly EncodedResult[] {
    const { app, backend, system } = this.#given;
    if (backend.form === 'none') return none;
    const { groupId, parentId } = { groupId: message.group, parentId: message.parentId };
    return [
      encodeResult(
        { taskId: message.id, state, result, traceback, dateDone: system.now(), groupId, parentId },
        { form: backend.form, serializer: app.config.resultSerializer },
        app.codec,
      ),
    ];
  }

  failure(message: TaskMessage, error: CeleryError): readonly EncodedResult[] {
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
    const { app, backend, system } = this.#given;
    if (backend.form !== 'document') return;
    const options = { form: backend.form, serializer: app.config.resultSerializer };
    for (const taskId of ids) {
      const encoded = encodeResult({ taskId, state, result, dateDone: system.now() }, options, app.codec);
      this.track(backend.store(encoded, { replyTo: undefined, correlationId: taskId }));
    }
  }

  /** Stores, then settles the message, whether that worked or not. */
  storeThen(results: readonly EncodedResult[], message: TaskMessage, settle: () => void): void {
    if (results.length === 0) return settle();
    const stored = async (): Promise<void> => {
      try {
        for (const result of results) await this.store(result, message);
      } finally {
        settle();
      }
    };
    this.track(stored());
  }

  /** Keeps a promise in view until it settles; its failure is logged. */
  track(work: Promise<void>): void {
    const { counts, log } = this.#given;
    const watched = work.then(undefined, (error: unknown) => {
      counts.storeFailures += 1;
      log.error({ err: error }, 'A result could not be stored');
    });
    this.#pending.add(watched);
    void watched.then(() => this.#pending.delete(watched));
  }

  /** Resolves when everything in view has settled. */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.allSettled([...this.#pending]);
  }
}

const none: readonly EncodedResult[] = Object.freeze([]);
