/** What a caller keeps of what it hears, and for how long. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { pendingMeta, type ResultMeta } from '../../../src/results/index.ts';
import { KnownStates } from '../../../src/results/known-states.ts';
import { manualSystem } from '../../support/manual-system.ts';
import { until } from '../../support/until.ts';

function meta(taskId: string, state: string, result?: unknown): ResultMeta {
  return { ...pendingMeta(taskId), state, result };
}

describe('KnownStates', () => {
  it('never lets a later state overwrite SUCCESS, nor an earlier one an end', () => {
    const known = new KnownStates({ system: manualSystem() });
    const told: string[] = [];
    known.listen('a', ({ state }) => told.push(state));
    for (const state of ['STARTED', 'FAILURE', 'STARTED', 'SUCCESS', 'FAILURE', 'RETRY']) known.learn(meta('a', state));
    expect(told).toEqual(['STARTED', 'FAILURE', 'SUCCESS']);
    expect(known.last('a')?.state).toBe('SUCCESS');
  });

  it('tells a listener what is known already, and nothing after it stopped', () => {
    const known = new KnownStates({ system: manualSystem() });
    known.learn(meta('a', 'STARTED'));
    const told: string[] = [];
    const stop = known.listen('a', ({ state }) => told.push(state));
    stop();
    stop();
    known.learn(meta('a', 'SUCCESS'));
    expect(told).toEqual(['STARTED']);
  });

  it('keeps what nobody asked for yet, but only so many', () => {
    const known = new KnownStates({ system: manualSystem(), maxLoose: 3 });
    for (const id of ['a', 'b', 'c', 'd']) known.learn(meta(id, 'SUCCESS'));
    expect(known.size).toBe(3);
    expect(known.last('a')).toBeUndefined();
    expect(known.last('d')?.state).toBe('SUCCESS');
  });

  it('and only so long', async () => {
    const system = manualSystem();
    const known = new KnownStates({ system, maxLooseAgeMs: 1_000 });
    known.learn(meta('old', 'SUCCESS'));
    await system.advance(900);
    known.learn(meta('young', 'SUCCESS'));
    await system.advance(200);
    known.learn(meta('new', 'SUCCESS'));
    expect([known.last('old'), known.last('young')?.taskId, known.last('new')?.taskId]).toEqual([
      undefined,
      'young',
      'new',
    ]);
  });

  it('keeps what somebody holds beyond every bound, in any number', () => {
    const known = new KnownStates({ system: manualSystem(), maxLoose: 10 });
    const holders = Array.from({ length: 5_000 }, (_, n) => ({ id: `task ${n}` }));
    for (const holder of holders) known.hold(holder.id, holder);
    for (const { id } of holders) known.learn(meta(id, 'SUCCESS'));
    expect(holders.every(({ id }) => known.last(id)?.state === 'SUCCESS')).toBe(true);
  });

  it('lets go of a task when its holder is gone', async () => {
    setFlagsFromString('--expose-gc');
    const gc: () => void = runInNewContext('gc');
    const known = new KnownStates({ system: manualSystem(), maxLoose: 0 });
    (() => {
      for (let n = 0; n < 100; n += 1) known.hold(`unheard ${n}`, {});
      known.hold('heard', {});
    })();
    known.learn(meta('heard', 'SUCCESS'));
    expect(known.size).toBe(101);
    await until(
      () => {
        gc();
        return known.size === 0;
      },
      { what: 'the garbage collector to find the holders gone' },
    );
  });

  it('forgets on demand', () => {
    const known = new KnownStates({ system: manualSystem() });
    known.learn(meta('a', 'SUCCESS'));
    known.forget('a');
    known.forget('never heard of');
    expect(known.last('a')).toBeUndefined();
    expect(known.size).toBe(0);
  });

  it('tells everybody who listens when nothing more will come', () => {
    const known = new KnownStates({ system: manualSystem() });
    const failures: unknown[] = [];
    known.listen(
      'a',
      () => undefined,
      (error) => failures.push(['a', error]),
    );
    known.listen(
      'b',
      () => undefined,
      (error) => failures.push(['b', error]),
    );
    known.fail('gone', 'a');
    expect(failures).toEqual([['a', 'gone']]);
    known.fail('closed');
    expect(failures.slice(1)).toEqual([['b', 'closed']]);
  });

  it('survives a listener that throws', () => {
    const system = manualSystem();
    const known = new KnownStates({ system });
    known.listen('a', () => {
      throw new Error('mine');
    });
    const told: string[] = [];
    known.listen('a', ({ state }) => told.push(state));
    known.learn(meta('a', 'SUCCESS'));
    expect(told).toEqual(['SUCCESS']);
    expect(system.logger.find('A listener for results threw')).toHaveLength(1);
  });
});
