import { describe, expect, it } from 'vitest';
import { LoopLag } from '../../../../src/worker/pool/loop-lag.ts';

/** A clock whose timers fire late, as they do when something blocks the loop. */
function lateClock() {
  let now = 0;
  let due: (() => void) | undefined;
  const system = {
    monotonic: () => now,
    after: (_ms: number, run: () => void) => {
      due = run;
      return () => {
        due = undefined;
      };
    },
  };
  const fireAfter = (ms: number): void => {
    now += ms;
    due?.();
  };
  return { system, fireAfter, isArmed: () => due !== undefined };
}

describe('the watch on the event loop', () => {
  it('tells how long it stood still when that was more than a second, and goes on watching', () => {
    const { system, fireAfter, isArmed } = lateClock();
    const lags: (number | undefined)[] = [];
    const lag = new LoopLag(system, (ms) => lags.push(ms));
    lag.start();
    for (const ms of [50, 1000, 3050, 51, 1051]) fireAfter(ms);
    expect(lags).toEqual([undefined, undefined, 3000, undefined, 1001]);
    lag.stop();
    expect(isArmed()).toBe(false);
  });
});
