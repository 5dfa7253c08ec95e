import { describe, expect, it } from 'vitest';
import { createClock } from '../../../../src/testing/clock.ts';
import { LimitGuard, limitAt } from '../../../../src/worker/pool/limits.ts';

interface Run {
  readonly name: string;
  softAt: number;
  hardAt: number;
}

function aGuard() {
  const clock = createClock();
  const running = new Set<Run>();
  const heard: string[] = [];
  const tell = (what: string) => (run: Run) => {
    heard.push(`${run.name} ${what} at ${clock.system.monotonic()}`);
    if (what === 'hard') running.delete(run);
  };
  const guard = new LimitGuard<Run>(clock.system, () => running, { soft: tell('soft'), hard: tell('hard') });
  const start = (name: string, soft?: number, hard?: number): Run => {
    const now = clock.system.monotonic();
    const run = { name, softAt: limitAt(now, soft), hardAt: limitAt(now, hard) };
    running.add(run);
    guard.watch(run);
    return run;
  };
  return { clock, guard, heard, running, start };
}

describe('the guard of time limits', () => {
  it('tells each limit of each run once, at its time, with one timer', async () => {
    const { clock, heard, start } = aGuard();
    start('a', 1, 2);
    start('b', undefined, 1.5);
    start('c', 0.5);
    start('d');
    expect(clock.timers).toBe(1);
    await clock.advance(10);
    expect(heard).toEqual(['c soft at 500', 'a soft at 1000', 'b hard at 1500', 'a hard at 2000']);
    expect(clock.timers).toBe(0);
  });

  it('says nothing of runs that have ended, and goes on with those that came later', async () => {
    const { clock, heard, running, start } = aGuard();
    running.delete(start('ended', 1, 2));
    await clock.advance(0.5);
    start('later', 1);
    await clock.advance(10);
    expect(heard).toEqual(['later soft at 1500']);
  });

  it('tells the hard limit alone when both have passed', async () => {
    const { clock, heard, start } = aGuard();
    start('a', 3, 3);
    await clock.advance(5);
    expect(heard).toEqual(['a hard at 3000']);
  });

  it('keeps one timer through many thousand runs', async () => {
    const { clock, running, start } = aGuard();
    for (let count = 0; count < 10_000; count += 1) running.delete(start('tiny', 60, 120));
    expect(clock.timers).toBe(1);
  });

  it('holds no timer when it is closed', () => {
    const { clock, guard, start } = aGuard();
    start('a', 1);
    guard.close();
    expect(clock.timers).toBe(0);
  });

  it.each([undefined, 0, -1, Number.NaN])('takes %s for no limit', (seconds) => {
    expect(limitAt(5, seconds)).toBe(Number.POSITIVE_INFINITY);
  });
});
