/** Handles on several tasks at once. */
import { describe, expect, it } from 'vitest';
import { TimeoutError } from '../../../src/core/errors.ts';
import { AsyncResult, BlockingJoinError, GroupResult, ResultSet } from '../../../src/results/index.ts';
import { turn } from '../../support/manual-system.ts';
import { aWorld, type World } from './world.ts';

function aGroup(world: World, ids: string[]): GroupResult {
  return new GroupResult(
    'group',
    ids.map((id) => new AsyncResult(id, world.host)),
    world.host,
  );
}

describe('ResultSet', () => {
  it('is a list without doubles', () => {
    const { host } = aWorld();
    const [a, b] = [new AsyncResult('a', host), new AsyncResult('b', host)];
    const set = new ResultSet([a], host);
    set.add(new AsyncResult('a', host));
    set.update([b, a]);
    expect(set.length).toBe(2);
    expect(set.at(-1)).toBe(b);
    expect([...set]).toEqual([a, b]);
    expect(set.discard('nobody')).toBe(false);
    expect(() => set.remove('nobody')).toThrow(/not a member/);
    set.remove(a);
    expect(set.results).toEqual([b]);
    set.clear();
    expect(set.length).toBe(0);
  });

  it('is successful when all are, failed when any is, ready when all have ended', async () => {
    const world = aWorld();
    const group = aGroup(world, ['a', 'b', 'c']);
    world.hear('a', 'SUCCESS');
    world.hear('b', 'FAILURE', { result: new Error('b') });
    expect(await group.completedCount()).toBe(1);
    expect([await group.successful(), await group.failed(), await group.ready(), await group.waiting()]).toEqual([
      false,
      true,
      false,
      true,
    ]);
    world.hear('c', 'SUCCESS');
    expect([await group.ready(), await group.waiting(), await group.completedCount()]).toEqual([true, false, 2]);
    await expect(group.maybeThrow()).rejects.toThrow('b');
  });

  it('revokes all tasks, those of inner groups included, in one call', async () => {
    const world = aWorld();
    const inner = aGroup(world, ['b', 'c']);
    await new GroupResult('outer', [new AsyncResult('a', world.host), inner], world.host).revoke({ terminate: true });
    expect(world.revocations).toEqual([{ ids: ['a', 'b', 'c'], options: { terminate: true } }]);
  });

  it('forgets every member', async () => {
    const world = aWorld();
    const group = aGroup(world, ['a', 'b']);
    world.hear('a', 'SUCCESS');
    world.hear('b', 'SUCCESS');
    expect(await group.ready()).toBe(true);
    await group.forget();
    expect(await group.ready()).toBe(false);
  });
});

describe.each(['join', 'joinNative', 'get'] as const)('GroupResult.%s', (way) => {
  it('gives the values in the order of the members, whichever ends first', async () => {
    const world = aWorld();
    const values = aGroup(world, ['a', 'b', 'c'])[way]();
    await turn();
    world.hear('c', 'SUCCESS', { result: 3 });
    world.hear('a', 'SUCCESS', { result: 1 });
    await turn();
    world.hear('b', 'SUCCESS', { result: 2 });
    expect(await values).toEqual([1, 2, 3]);
    expect(world.watching).toBe(0);
  });

  it('throws the error of a member and ends the other waits', async () => {
    const world = aWorld();
    const values = aGroup(world, ['a', 'b'])[way]();
    const refused = expect(values).rejects.toThrow('boom');
    await turn();
    world.hear('a', 'FAILURE', { result: new Error('boom') });
    await refused;
    await turn();
    expect(world.watching).toBe(0);
  });

  it('puts errors into the list with propagate: false', async () => {
    const world = aWorld();
    const error = new Error('boom');
    world.hear('a', 'FAILURE', { result: error });
    world.hear('b', 'SUCCESS', { result: 2 });
    expect(await aGroup(world, ['a', 'b'])[way]({ propagate: false })).toEqual([error, 2]);
  });

  it('gives each value to the callback, and then nothing in the list', async () => {
    const world = aWorld();
    world.hear('a', 'SUCCESS', { result: 1 });
    world.hear('b', 'SUCCESS', { result: 2 });
    const told: unknown[] = [];
    expect(await aGroup(world, ['a', 'b'])[way]({ callback: (id, value) => told.push([id, value]) })).toEqual([]);
    expect(told).toEqual([
      ['a', 1],
      ['b', 2],
    ]);
  });

  it('has one timeout over all members', async () => {
    const world = aWorld();
    const values = aGroup(world, ['a', 'b'])[way]({ timeout: 3 });
    const refused = expect(values).rejects.toThrow(TimeoutError);
    await world.system.advance(2_000);
    world.hear('a', 'SUCCESS', { result: 1 });
    await world.system.advance(1_000);
    await refused;
    expect(world.system.timers).toBe(0);
    expect(world.watching).toBe(0);
  });

  it('is refused inside a running task', async () => {
    const world = aWorld();
    world.insideTask = true;
    await expect(aGroup(world, ['a'])[way]()).rejects.toThrow(BlockingJoinError);
  });

  it('gives an empty list for an empty group', async () => {
    expect(await aGroup(aWorld(), [])[way]()).toEqual([]);
  });
});

describe('GroupResult', () => {
  it('waits for inner groups, whose values are lists', async () => {
    const world = aWorld();
    for (const [id, result] of Object.entries({ a: 1, b: 2, c: 3 })) world.hear(id, 'SUCCESS', { result });
    const outer = new GroupResult('outer', [new AsyncResult('a', world.host), aGroup(world, ['b', 'c'])], world.host);
    expect(await outer.get()).toEqual([1, [2, 3]]);
  });

  it('gives ids and states, and values, in the order of their end', async () => {
    const world = aWorld();
    const group = aGroup(world, ['a', 'b', 'c']);
    const states: unknown[] = [];
    const reading = (async () => {
      for await (const [id, { state }] of group.iterNative()) states.push([id, state]);
    })();
    const values: unknown[] = [];
    const iterating = (async () => {
      for await (const value of group.iterate({ propagate: false })) values.push(value);
    })();
    await turn();
    const error = new Error('b');
    world.hear('b', 'FAILURE', { result: error });
    await turn();
    world.hear('c', 'SUCCESS', { result: 3 });
    await turn();
    world.hear('a', 'SUCCESS', { result: 1 });
    await Promise.all([reading, iterating]);
    expect(states).toEqual([
      ['b', 'FAILURE'],
      ['c', 'SUCCESS'],
      ['a', 'SUCCESS'],
    ]);
    expect(values).toEqual([error, 3, 1]);
  });

  it('ends every wait when its reader leaves', async () => {
    const world = aWorld();
    world.hear('a', 'SUCCESS', { result: 1 });
    for await (const value of aGroup(world, ['a', 'b', 'c']).iterate()) {
      expect(value).toBe(1);
      break;
    }
    await turn();
    expect(world.watching).toBe(0);
  });

  it('is found again by its id when it was saved, with its parent', async () => {
    const world = aWorld();
    const parent = new AsyncResult('first', world.host);
    const members = ['a', 'b'].map((id) => new AsyncResult(id, world.host));
    const group = new GroupResult('group', members, world.host, { parent });
    expect(await GroupResult.restore('group', world.host)).toBeUndefined();
    await group.save();
    const restored = await GroupResult.restore('group', world.host);
    expect(restored?.equals(group)).toBe(true);
    expect(restored?.parent?.id).toBe('first');
    expect(restored?.asList()).toEqual(['group', 'first']);
    await group.delete();
    expect(await GroupResult.restore('group', world.host)).toBeUndefined();
  });
});
