/** Several handles asked as one. Members may be groups themselves. */
import { setMaxListeners } from 'node:events';
import { TimeoutError } from '../core/errors.ts';
import type { AnyResult, GetOptions, ResultHost, RevokeOptions } from './any-result.ts';
import { AsyncResult } from './async-result.ts';
import type { ResultBackend, ResultMeta } from './backend.ts';
import { assertWillNotBlock } from './join-guard.ts';

/**
 * A collection of results in a fixed order. Celery: `ResultSet`.
 *
 * @example
 * const sums = new ResultSet([await add.delay(1, 1), await add.delay(2, 2)], app);
 * await sums.join({ timeout: 10 }); // [2, 4]
 */
export class ResultSet<T = unknown> implements Iterable<AnyResult> {
  readonly #members: AnyResult[];
  readonly #host: ResultHost;

  constructor(members: Iterable<AnyResult>, host: ResultHost) {
    this.#members = [...members];
    this.#host = host;
  }

  /** The members, in order. */
  get results(): readonly AnyResult[] {
    return this.#members;
  }

  get length(): number {
    return this.#members.length;
  }

  /** The member at `index`; negative ones count from the end. */
  at(index: number): AnyResult | undefined {
    return this.#members.at(index);
  }

  [Symbol.iterator](): IterableIterator<AnyResult> {
    return this.#members[Symbol.iterator]();
  }

  /** Appends a result unless it is there already. */
  add(result: AnyResult): void {
    if (this.#indexOf(result) < 0) this.#members.push(result);
  }

  /** Takes a result out. @throws {RangeError} when it is not a member */
  remove(result: AnyResult | string): void {
    if (!this.discard(result)) throw new RangeError(`Task ${idOf(result)} is not a member of this result set.`);
  }

  /** Takes a result out if it is there, and says whether it was. */
  discard(result: AnyResult | string): boolean {
    const index = this.#indexOf(result);
    if (index >= 0) this.#members.splice(index, 1);
    return index >= 0;
  }

  /** Appends those that are not there already. */
  update(results: Iterable<AnyResult>): void {
    for (const result of results) this.add(result);
  }

  clear(): void {
    this.#members.length = 0;
  }

  /** Whether every task succeeded. */
  successful(): Promise<boolean> {
    return this.#every((member) => member.successful());
  }

  /** Whether any task failed. */
  async failed(): Promise<boolean> {
    return !(await this.#every(async (member) => !(await member.failed())));
  }

  /** Whether every task has ended. */
  ready(): Promise<boolean> {
    return this.#every((member) => member.ready());
  }

  /** Whether any task has still to end. */
  async waiting(): Promise<boolean> {
    return !(await this.ready());
  }

  /** How many members succeeded. */
  async completedCount(): Promise<number> {
    const successes = await Promise.all(this.#members.map((member) => member.successful()));
    return successes.filter(Boolean).length;
  }

  /** Throws the error of the first member that failed. */
  async maybeThrow(options: Pick<GetOptions, 'propagate' | 'callback'> = {}): Promise<unknown> {
    for (const member of this.#members) await member.maybeThrow(options);
    return undefined;
  }

  async forget(): Promise<void> {
    for (const member of this.#members) await member.forget();
  }

  /** Asks every worker, in one broadcast, to skip all the tasks. */
  async revoke(options: RevokeOptions = {}): Promise<void> {
    await this.#host.revoke(this.taskIds(), options);
  }

  /** `joinNative` where the backend pushes, else `join`. */
  async get(options: GetOptions = {}): Promise<T[]> {
    return (await this.supportsNativeJoin()) ? this.joinNative(options) : this.join(options);
  }

  /**
   * The values in the order of the members, one awaited after the other. `timeout` covers them all.
   * With a `callback` each value goes there and the list stays empty, as in Celery.
   *
   * @throws {TimeoutError} when `timeout` seconds pass first
   * @throws the error of the first member, in order, that failed
   */
  async join(options: GetOptions = {}): Promise<T[]> {
    this.#assertMayWait(options);
    const { callback, timeout, ...rest } = options;
    const deadline = new Deadline(timeout, this.#host);
    const values: unknown[] = [];
    for (const member of this.#members) {
      const value = await member.get({ ...rest, timeout: deadline.left(), disableSyncSubtasks: false });
      if (callback === undefined) values.push(value);
      else callback(member.id, value);
    }
    return values as T[];
  }

  /**
   * The values in the order of the members, all awaited at once: the first failure in time ends the wait.
   * With a `callback` each value goes there as it comes and the list stays empty, as in Celery.
   */
  async joinNative(options: GetOptions = {}): Promise<T[]> {
    this.#assertMayWait(options);
    const { callback } = options;
    const values: unknown[] = new Array(callback === undefined ? this.#members.length : 0);
    for await (const { index, member, value } of this.#inOrderOfEnd(options)) {
      if (callback === undefined) values[index] = value;
      else callback(member.id, value);
    }
    return values as T[];
  }

  /** `[id, what is known]` of each task in the order in which they end. Errors are told, not thrown. */
  async *iterNative(options: GetOptions = {}): AsyncGenerator<[taskId: string, meta: ResultMeta], void, undefined> {
    this.#assertMayWait(options);
    for await (const { member } of this.#inOrderOfEnd({ ...options, propagate: false })) {
      for (const task of tasksOf(member)) yield [task.id, await task.meta()];
    }
  }

  /** The values in the order in which the tasks end. */
  async *iterate(options: GetOptions = {}): AsyncGenerator<T, void, undefined> {
    this.#assertMayWait(options);
    for await (const { value } of this.#inOrderOfEnd(options)) yield value as T;
  }

  async supportsNativeJoin(): Promise<boolean> {
    return (await this.backend).supportsNativeJoin;
  }

  get backend(): Promise<ResultBackend> {
    return this.#host.backend();
  }

  /** The id of every task, those of inner groups included. */
  taskIds(): string[] {
    return this.#members.flatMap((member) => member.taskIds());
  }

  /** Every member asked at once and given as it ends; leaving early ends the waits that are left. */
  async *#inOrderOfEnd(options: GetOptions): AsyncGenerator<Ended, void, undefined> {
    const { callback: _, signal, ...rest } = options;
    const over = new AbortController();
    setMaxListeners(0, over.signal); // one for each member
    const endAll = (): void => over.abort(signal?.reason);
    if (signal?.aborted) endAll();
    signal?.addEventListener('abort', endAll, { once: true });
    const settledOnes: (Ended | { error: unknown })[] = [];
    let wake = (): void => {};
    const follow = async (member: AnyResult, index: number): Promise<void> => {
      try {
        const value = await member.get({ ...rest, signal: over.signal, disableSyncSubtasks: false });
        settledOnes.push({ member, index, value });
      } catch (error) {
        settledOnes.push({ error });
      }
      wake();
    };
    try {
      for (const [index, member] of this.#members.entries()) void follow(member, index);
      for (let left = this.#members.length; left > 0; left -= 1) {
        if (settledOnes.length === 0) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        const next = settledOnes.shift();
        if (next === undefined) continue;
        if ('error' in next) throw next.error;
        yield next;
      }
    } finally {
      over.abort();
      signal?.removeEventListener('abort', endAll);
    }
  }

  #assertMayWait(options: GetOptions): void {
    if (options.disableSyncSubtasks !== false) assertWillNotBlock(this.#host.isInsideTask());
  }

  #indexOf(result: AnyResult | string): number {
    const id = idOf(result);
    return this.#members.findIndex((member) => member.id === id);
  }

  async #every(holds: (member: AnyResult) => Promise<boolean>): Promise<boolean> {
    for (const member of this.#members) {
      if (!(await holds(member))) return false;
    }
    return true;
  }
}

interface Ended {
  readonly member: AnyResult;
  readonly index: number;
  readonly value: unknown;
}

/** What is left of one timeout that covers several waits. */
class Deadline {
  readonly #timeout: number | undefined;
  readonly #host: ResultHost;
  readonly #endMs: number;

  constructor(timeout: number | undefined, host: ResultHost) {
    this.#timeout = timeout;
    this.#host = host;
    this.#endMs = host.system.monotonic() + (timeout ?? 0) * 1000;
  }

  left(): number | undefined {
    if (this.#timeout === undefined) return undefined;
    const leftSeconds = (this.#endMs - this.#host.system.monotonic()) / 1000;
    if (leftSeconds < 0) throw new TimeoutError(`The group had not ended after ${this.#timeout} s.`);
    return leftSeconds;
  }
}

function tasksOf(member: AnyResult): AsyncResult[] {
  if (member instanceof AsyncResult) return [member];
  return member instanceof ResultSet ? member.results.flatMap(tasksOf) : [];
}

function idOf(result: AnyResult | string): string {
  return typeof result === 'string' ? result : result.id;
}
