/**
 * A signature: a call that has not been made yet, as an object and as the JSON map of the wire
 * (celery-protocol.md section 7). Immutable data; every change gives a new signature.
 */
import type { AsyncResult } from '../results/index.ts';
import type { SignatureOptions } from './signature-options.ts';

/** The map of the wire. Option names are Celery's, in snake_case. */
export interface SignatureMap {
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly options: Readonly<Record<string, unknown>>;
  readonly subtask_type: string | null;
  readonly immutable: boolean;
}

/** What a signature needs of the app: to be sent, and to have its options put in the wire's words. */
export interface SignatureHost {
  sendSignature(
    map: SignatureMap,
    args: readonly unknown[],
    options: Readonly<Record<string, unknown>>,
  ): Promise<AsyncResult<unknown>>;
  /** Call options in camelCase to the wire's. */
  encodeOptions(options: object): Record<string, unknown>;
  newTaskId(): string;
}

export interface SignatureParts {
  readonly task: string;
  readonly args?: readonly unknown[] | undefined;
  readonly kwargs?: Readonly<Record<string, unknown>> | undefined;
  readonly options?: object | undefined;
  readonly immutable?: boolean | undefined;
}

/**
 * A call to be made later: by hand, as a callback, or as part of a canvas.
 * `Args` are the task's parameters, `Given` those bound here, `Result` its return value.
 *
 * @example await add.s(2).applyAsync([3]);   // add(3, 2): what comes later stands in front
 * Celery: `Signature`.
 */
export class Signature<Args extends unknown[] = unknown[], Given extends unknown[] = unknown[], Result = unknown> {
  readonly #host: SignatureHost;
  readonly #map: SignatureMap;
  /** Only for the type checker. */
  declare readonly expects: [Args, Given, Result] | undefined;

  constructor(host: SignatureHost, map: SignatureMap) {
    this.#host = host;
    this.#map = map;
  }

  get task(): string {
    return this.#map.task;
  }

  get args(): readonly unknown[] {
    return this.#map.args;
  }

  get kwargs(): Readonly<Record<string, unknown>> {
    return this.#map.kwargs;
  }

  /** Options in the wire's words. */
  get options(): Readonly<Record<string, unknown>> {
    return this.#map.options;
  }

  get immutable(): boolean {
    return this.#map.immutable;
  }

  /** A copy with more options (seconds and dates, as in `applyAsync`), or made immutable. Celery: `set`. */
  set(options: SignatureOptions & { readonly immutable?: boolean }): Signature<Args, Given, Result> {
    const { immutable, ...rest } = options;
    return this.#with({
      options: { ...this.#map.options, ...this.#host.encodeOptions(rest) },
      immutable: immutable ?? this.#map.immutable,
    });
  }

  /** A copy with these arguments in front and these options over its own. Celery: `clone`. */
  clone(args: readonly unknown[] = [], options: SignatureOptions = {}): Signature<Args, unknown[], Result> {
    return this.#with({
      args: this.#map.immutable ? this.#map.args : [...args, ...this.#map.args],
      options: { ...this.#map.options, ...this.#host.encodeOptions(options) },
    }) as Signature<Args, unknown[], Result>;
  }

  /** A copy that runs `callback` after success, with the result in front of its arguments. Celery: `link`. */
  link(callback: Signature): Signature<Args, Given, Result> {
    return this.#append('link', callback);
  }

  /** A copy that runs `errback` after failure. Celery: `link_error`. */
  linkError(errback: Signature): Signature<Args, Given, Result> {
    return this.#append('link_error', errback);
  }

  /** `linkError`, under the name that reads well in a chain. Celery: `on_error`. */
  onError(errback: Signature): Signature<Args, Given, Result> {
    return this.linkError(errback);
  }

  /** A copy whose task id is chosen now (or given). Celery: `freeze`. */
  freeze(taskId?: string): Signature<Args, Given, Result> {
    const known = this.#map.options.task_id;
    const task_id = taskId ?? (typeof known === 'string' ? known : this.#host.newTaskId());
    return this.#with({ options: { ...this.#map.options, task_id } });
  }

  /** Sends it, these arguments in front. Celery: `delay`. */
  delay(...args: unknown[]): Promise<AsyncResult<Result>> {
    return this.applyAsync(args);
  }

  /** Sends it, these arguments in front and these options over its own. Celery: `apply_async`. */
  applyAsync(args: readonly unknown[] = [], options: object = {}): Promise<AsyncResult<Result>> {
    const sent = this.#host.sendSignature(this.#map, args, this.#host.encodeOptions(options));
    return sent as Promise<AsyncResult<Result>>;
  }

  /** The map of the wire. */
  toJSON(): SignatureMap {
    return this.#map;
  }

  #with(change: Partial<SignatureMap>): Signature<Args, Given, Result> {
    return new Signature(this.#host, { ...this.#map, ...change });
  }

  #append(key: 'link' | 'link_error', callback: Signature): Signature<Args, Given, Result> {
    const known = this.#map.options[key];
    const before = Array.isArray(known) ? known : known == null ? [] : [known];
    return this.#with({ options: { ...this.#map.options, [key]: [...before, callback.toJSON()] } });
  }
}

/** Makes a signature from its parts; options in camelCase. */
export function createSignature(host: SignatureHost, parts: SignatureParts): Signature {
  return new Signature(host, {
    task: parts.task,
    args: parts.args ?? [],
    kwargs: parts.kwargs ?? {},
    options: parts.options === undefined ? {} : host.encodeOptions(parts.options),
    subtask_type: null,
    immutable: parts.immutable ?? false,
  });
}

/** The wire's map of a signature or of what already is one. */
export function toSignatureMap(
  value: Signature | Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return value instanceof Signature ? { ...value.toJSON() } : value;
}
