/**
 * Whether this asynchronous context may wait for results. Inside a running task it may not, unless it was allowed to.
 * The mode follows the context, so two apps and two tasks at a time do not meet.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { BlockingJoinError } from './errors.ts';

const mode = new AsyncLocalStorage<'allowed' | 'denied'>();

/**
 * Runs `body` with `get()` permitted, also inside a task. Celery's `allow_join_result`.
 *
 * @example const value = await allowJoinResult(() => result.get());
 */
export function allowJoinResult<R>(body: () => R): R {
  return mode.run('allowed', body);
}

/** Runs `body` with `get()` refused, also outside a task. Celery's `denied_join_result`. */
export function deniedJoinResult<R>(body: () => R): R {
  return mode.run('denied', body);
}

/** Refuses to wait where it would block a task. Celery's `assert_will_not_block`. @throws {BlockingJoinError} */
export function assertWillNotBlock(insideTask: boolean): void {
  const given = mode.getStore();
  if (given === 'allowed') return;
  if (given === 'denied' || insideTask) throw new BlockingJoinError();
}
