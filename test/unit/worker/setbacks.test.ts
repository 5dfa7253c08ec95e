/** The wait of messages whose end could not be told. */
import { describe, expect, it } from 'vitest';
import { Setbacks } from '../../../src/worker/consumer/setbacks.ts';
import { manualSystem, turn } from '../../support/manual-system.ts';

/** Whether the wait after so many tries is over. */
function waiting(setbacks: Setbacks, tries: number): { isOver: boolean } {
  const state = { isOver: false };
  void setbacks.wait(tries).then(() => {
    state.isOver = true;
  });
  return state;
}

describe('a message that was set back', () => {
  it.each([
    [1, 1_000],
    [2, 2_000],
    [3, 4_000],
    [6, 30_000],
    [50, 30_000],
  ])('waits after try number %i for %i ms', async (tries, ms) => {
    const system = manualSystem();
    const wait = waiting(new Setbacks(system), tries);
    await system.advance(ms - 1);
    expect(wait.isOver).toBe(false);
    await system.advance(1);
    expect(wait.isOver).toBe(true);
  });

  it('is counted by its id until it is forgotten', () => {
    const setbacks = new Setbacks(manualSystem());
    expect([setbacks.count('a'), setbacks.count('b'), setbacks.count('a')]).toEqual([1, 1, 2]);
    setbacks.forget('a');
    expect([setbacks.count('a'), setbacks.count('b')]).toEqual([1, 2]);
  });

  it('is forgotten when 10,000 others came after it', () => {
    const setbacks = new Setbacks(manualSystem());
    setbacks.count('oldest');
    setbacks.count('kept');
    for (let at = 1; at < 10_000; at += 1) setbacks.count(`other ${at}`);
    expect([setbacks.count('kept'), setbacks.count('oldest')]).toEqual([2, 1]);
  });

  it('waits no longer once the worker stops, nor does one that comes after', async () => {
    const system = manualSystem();
    const setbacks = new Setbacks(system);
    const wait = waiting(setbacks, 9);
    setbacks.stop();
    const late = waiting(setbacks, 9);
    await turn();
    expect([wait.isOver, late.isOver, system.timers]).toEqual([true, true, 0]);
  });
});
