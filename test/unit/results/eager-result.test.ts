/** The handle on a task that ran here and now. */
import { describe, expect, it } from 'vitest';
import { TaskRevokedError } from '../../../src/core/errors.ts';
import { AsyncResult, BlockingJoinError, EagerResult } from '../../../src/results/index.ts';
import { aWorld } from './world.ts';

describe('EagerResult', () => {
  it('has its value at once and asks no backend', async () => {
    const world = aWorld();
    const result = new EagerResult({ id: 'a', value: 4, state: 'SUCCESS', name: 'tasks.add' }, world.host);
    expect(result).toBeInstanceOf(AsyncResult);
    expect(await result.get()).toBe(4);
    expect(await result.wait({ timeout: 1 })).toBe(4);
    expect([await result.ready(), await result.successful(), await result.failed()]).toEqual([true, true, false]);
    expect(await result.state()).toBe('SUCCESS');
    expect(await result.name()).toBe('tasks.add');
    expect(await result.supportsNativeJoin()).toBe(false);
    expect(world.known.size).toBe(0);
  });

  it('throws the error of a failure, and gives it with propagate: false', async () => {
    const error = new TypeError('no');
    const given = { id: 'a', value: error, state: 'FAILURE', traceback: 'at add' };
    const result = new EagerResult(given, aWorld().host);
    await expect(result.get()).rejects.toBe(error);
    expect(await result.get({ propagate: false })).toBe(error);
    expect(await result.traceback()).toBe('at add');
    expect(await result.failed()).toBe(true);
  });

  it('gives null for a state that is neither', async () => {
    expect(await new EagerResult({ id: 'a', value: 'soon', state: 'RETRY' }, aWorld().host).get()).toBeNull();
  });

  it('says REVOKED after revoke, without telling any worker', async () => {
    const world = aWorld();
    const result = new EagerResult({ id: 'a', value: 4, state: 'SUCCESS' }, world.host);
    await result.revoke();
    expect(await result.state()).toBe('REVOKED');
    await expect(result.get()).rejects.toThrow(TaskRevokedError);
    expect(world.revocations).toEqual([]);
    await result.forget();
  });

  it('is refused inside a running task like any other', async () => {
    const world = aWorld();
    world.insideTask = true;
    await expect(new EagerResult({ id: 'a', value: 4, state: 'SUCCESS' }, world.host).get()).rejects.toThrow(
      BlockingJoinError,
    );
  });

  it('is watched as one state', async () => {
    const seen: string[] = [];
    for await (const { state } of new EagerResult({ id: 'a', value: 4, state: 'SUCCESS' }, aWorld().host).watch())
      seen.push(state);
    expect(seen).toEqual(['SUCCESS']);
  });
});
