/** What `apply()` and `taskAlwaysEager` give: a handle on a task that has run already, here. It asks no backend. */
import { ImproperlyConfigured, TaskRevokedError } from '../core/errors.ts';
import { readyStates } from '../core/states.ts';
import type { AnyResult, GetOptions, ResultHost } from './any-result.ts';
import { AsyncResult, settled } from './async-result.ts';
import { pendingMeta, type ResultMeta } from './backend.ts';
import { assertWillNotBlock } from './join-guard.ts';

export interface EagerOutcome {
  readonly id: string;
  /** The value, or the error of a failure. */
  readonly value: unknown;
  readonly state: string;
  readonly traceback?: string | undefined;
  readonly name?: string | undefined;
  readonly children?: readonly AnyResult[] | undefined;
}

/** The result of a task that ran in this process, at once. Celery: `EagerResult`. */
export class EagerResult<T = unknown> extends AsyncResult<T> {
  readonly #outcome: EagerOutcome;
  readonly #host: ResultHost;
  #isRevoked = false;

  constructor(outcome: EagerOutcome, host: ResultHost) {
    super(outcome.id, detached(host));
    this.#outcome = outcome;
    this.#host = host;
  }

  /**
   * The value, at once. Throws the error of a failure; `null` for a state that is neither success nor failure.
   *
   * @throws {BlockingJoinError} inside a running task, as `AsyncResult.get`
   */
  override async get(options: GetOptions = {}): Promise<T> {
    if (options.disableSyncSubtasks !== false) assertWillNotBlock(this.#host.isInsideTask());
    const meta = await this.meta();
    const value = readyStates.has(meta.state) ? settled(meta, options.propagate !== false) : null;
    options.callback?.(this.id, value);
    return value as T;
  }

  override async meta(): Promise<ResultMeta> {
    const { state, value, traceback } = this.#now();
    return {
      ...pendingMeta(this.id),
      state,
      result: value,
      traceback,
      extra: this.#outcome.name === undefined ? {} : { name: this.#outcome.name },
    };
  }

  /** Always: it ran before you had the handle. */
  override async ready(): Promise<boolean> {
    return true;
  }

  override get children(): Promise<readonly AnyResult[] | undefined> {
    return Promise.resolve(this.#outcome.children ?? []);
  }

  override async *watch(): AsyncGenerator<ResultMeta, void, undefined> {
    yield await this.meta();
  }

  /** Nothing is stored, so nothing happens. */
  override async forget(): Promise<void> {}

  /** The handle says REVOKED from now on; the task has run all the same. */
  override async revoke(): Promise<void> {
    this.#isRevoked = true;
  }

  override async supportsNativeJoin(): Promise<boolean> {
    return false;
  }

  #now(): EagerOutcome {
    if (!this.#isRevoked) return this.#outcome;
    return { ...this.#outcome, state: 'REVOKED', value: new TaskRevokedError('revoked') };
  }
}

/** A host without a backend: an eager result never asks one. */
function detached(host: ResultHost): ResultHost {
  return {
    system: host.system,
    backend: async () => {
      throw new ImproperlyConfigured(
        'An eager result is not stored: there is no backend to ask. Use delay() to store one.',
      );
    },
    openedBackend: () => undefined,
    isInsideTask: () => host.isInsideTask(),
    resultFromTuple: (tuple) => host.resultFromTuple(tuple),
    revoke: async () => undefined,
    revokeByStampedHeaders: (headers, options) => host.revokeByStampedHeaders(headers, options),
  };
}
