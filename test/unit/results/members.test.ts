/** What the smaller members of handles do. */
import { describe, expect, it } from 'vitest';
import { AsyncResult, EagerResult, GroupResult, ResultSet } from '../../../src/results/index.ts';
import { aWorld } from './world.ts';

describe('AsyncResult', () => {
  it.each([
    ['PENDING', [false, false, false]],
    ['STARTED', [false, false, false]],
    ['RETRY', [false, false, false]],
    ['HALF WAY', [false, false, false]],
    ['SUCCESS', [true, true, false]],
    ['FAILURE', [true, false, true]],
    ['REVOKED', [true, false, false]],
  ])('in %s says of ready, successful, failed: %j', async (state, wanted) => {
    const world = aWorld();
    if (state !== 'PENDING') world.hear('a', state);
    const result = new AsyncResult('a', world.host);
    expect([await result.ready(), await result.successful(), await result.failed()]).toEqual(wanted);
    expect(await result.exists()).toBe(state !== 'PENDING');
  });

  it('throws what the task threw when maybeThrow is asked, and waits for nothing', async () => {
    const world = aWorld();
    const result = new AsyncResult('a', world.host);
    expect(await result.maybeThrow()).toBeUndefined();
    world.hear('a', 'FAILURE', { result: new RangeError('too far') });
    await expect(result.maybeThrow()).rejects.toThrow(RangeError);
    expect(await result.maybeThrow({ propagate: false })).toBeInstanceOf(RangeError);
    const told: unknown[] = [];
    world.hear('b', 'SUCCESS', { result: 7 });
    const callback = (id: string, value: unknown): void => void told.push(id, value);
    expect(await new AsyncResult('b', world.host).maybeThrow({ callback })).toBe(7);
    expect(told).toEqual(['b', 7]);
  });

  it('lists its id and those of the steps before it', () => {
    const { host } = aWorld();
    const first = new AsyncResult('first', host);
    const second = new AsyncResult('second', host, { parent: first });
    expect(new AsyncResult('third', host, { parent: second }).asList()).toEqual(['third', 'second', 'first']);
  });

  it('revokes tasks by the stamps they carry, with the options given', async () => {
    const world = aWorld();
    const asked: unknown[] = [];
    const host = { ...world.host, revokeByStampedHeaders: async (...given: unknown[]) => void asked.push(given) };
    await new AsyncResult('a', host).revokeByStampedHeaders({ customer: ['7'] }, { terminate: true });
    expect(asked).toEqual([[{ customer: ['7'] }, { terminate: true }]]);
  });

  it('asks the backend for what a task has sent, once it is wanted', async () => {
    const world = aWorld();
    let asked = 0;
    const get = world.backend.get.bind(world.backend);
    const backend = {
      ...world.backend,
      get: (id: string) => {
        asked += 1;
        return get(id);
      },
    };
    const result = new AsyncResult('a', { ...world.host, backend: async () => backend, openedBackend: () => backend });
    expect(asked).toBe(0);
    expect(await result.children).toBeUndefined();
    expect(asked).toBe(1);
    world.hear('a', 'SUCCESS', { result: 1, children: [[['b', null], null]] });
    expect((await result.children)?.map(({ id }) => id)).toEqual(['b']);
    expect(await result.get()).toBe(1);
    expect(asked).toBe(2); // an end is asked for once
  });
});

describe.each(['AsyncResult', 'ResultSet', 'GroupResult'])('%s', (kind) => {
  it('has the backend of its app, and joins as that can', async () => {
    const world = aWorld();
    for (const supportsNativeJoin of [true, false]) {
      const backend = { ...world.backend, supportsNativeJoin };
      const host = { ...world.host, backend: async () => backend, openedBackend: () => backend };
      const member = new AsyncResult('a', host);
      const result =
        kind === 'AsyncResult'
          ? member
          : kind === 'ResultSet'
            ? new ResultSet([member], host)
            : new GroupResult('g', [member], host);
      expect(await result.backend).toBe(backend);
      expect(await result.supportsNativeJoin()).toBe(supportsNativeJoin);
    }
  });
});

describe('GroupResult', () => {
  it('has its members for children', () => {
    const { host } = aWorld();
    const members = [new AsyncResult('a', host), new AsyncResult('b', host)];
    expect(new GroupResult('g', members, host).children).toEqual(members);
  });
});

describe('EagerResult', () => {
  it('has the name and the traceback of the run, stores nothing and forgets nothing', async () => {
    const { host } = aWorld();
    const outcome = {
      id: 'a',
      value: new Error('no'),
      state: 'FAILURE',
      traceback: 'Error: no\n  at x',
      name: 'tasks.x',
    };
    const result = new EagerResult(outcome, host);
    expect([await result.name(), await result.traceback()]).toEqual(['tasks.x', 'Error: no\n  at x']);
    await result.forget();
    expect([await result.state(), await result.supportsNativeJoin()]).toEqual(['FAILURE', false]);
    await expect(result.backend).rejects.toThrow('An eager result is not stored');
  });
});
