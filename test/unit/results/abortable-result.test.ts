/** Asking a running task to stop by itself. */
import { describe, expect, it } from 'vitest';
import { ImproperlyConfigured } from '../../../src/core/errors.ts';
import { AbortableAsyncResult, AsyncResult } from '../../../src/results/index.ts';
import { aWorld } from './world.ts';

describe('AbortableAsyncResult', () => {
  it('stores ABORTED, which is an end for it and none for other handles', async () => {
    const world = aWorld();
    const storeState = async (taskId: string, state: string, result: unknown): Promise<void> =>
      world.hear(taskId, state, { result });
    const result = new AbortableAsyncResult('a', { ...world.host, storeState });
    world.hear('a', 'STARTED');
    expect([await result.isAborted(), await result.ready()]).toEqual([false, false]);
    await result.abort();
    expect([await result.isAborted(), await result.ready(), await result.state()]).toEqual([true, true, 'ABORTED']);
    expect(await new AsyncResult('a', world.host).ready()).toBe(false);
  });

  it('does not abort a task that has succeeded', async () => {
    const world = aWorld();
    const storeState = async (taskId: string, state: string): Promise<void> => world.hear(taskId, state);
    world.hear('a', 'SUCCESS', { result: 1 });
    const result = new AbortableAsyncResult('a', { ...world.host, storeState });
    await result.abort();
    expect([await result.isAborted(), await result.get()]).toEqual([false, 1]);
  });

  it('says so where the worker could not read it', async () => {
    const world = aWorld();
    const rpc = { ...world.backend, form: 'rpc' as const, name: 'rpc' };
    const host = { ...world.host, backend: async () => rpc, storeState: async () => undefined };
    await expect(new AbortableAsyncResult('a', host).abort()).rejects.toThrow(ImproperlyConfigured);
    await expect(new AbortableAsyncResult('a', host).abort()).rejects.toThrow(/rpc is none.*redis:\/\//);
  });
});
