import { describe, expect, it } from 'vitest';
import { createClock } from '../../../src/testing/clock.ts';
import { Autoscaler, decideScale, parseAutoscale } from '../../../src/worker/autoscale.ts';

describe('the rule of autoscaling', () => {
  const view = { max: 10, min: 3, keepaliveMs: 30_000, quietMs: 0 };

  it.each([
    [{ size: 3, reserved: 7 }, 4],
    [{ size: 3, reserved: 25 }, 7],
    [{ size: 10, reserved: 25 }, 0],
    [{ size: 3, reserved: 2 }, 0],
    [{ size: 1, reserved: 0 }, 2],
  ])('grows to the tasks that are here, at most to max: %o gives %i', (given, change) => {
    expect(decideScale({ ...view, ...given })).toBe(change);
  });

  it('shrinks to the tasks that are here, at least to min, after a while of quiet only', () => {
    expect(decideScale({ ...view, size: 10, reserved: 0, quietMs: 30_000 })).toBe(0);
    expect(decideScale({ ...view, size: 10, reserved: 0, quietMs: 30_001 })).toBe(-7);
    expect(decideScale({ ...view, size: 10, reserved: 5, quietMs: 30_001 })).toBe(-5);
    expect(decideScale({ ...view, min: 0, size: 4, reserved: 0, quietMs: 30_001 })).toBe(-3);
  });
});

describe('--autoscale', () => {
  it.each([
    ['10,3', { max: 10, min: 3 }],
    ['3, 10', { max: 10, min: 3 }],
    ['8', { max: 8, min: 0 }],
    ['4,4', { max: 4, min: 4 }],
  ])('%s means %o', (text, bounds) => {
    expect(parseAutoscale(text)).toEqual(bounds);
  });

  it.each(['', 'a,b', '1,2,3', '-1,3', '2.5', '0', '3,'])('refuses %s', (text) => {
    expect(() => parseAutoscale(text)).toThrow("'max,min'");
  });
});

describe('the autoscaler', () => {
  function aPool(size: number) {
    const pool = {
      size,
      grow: (count: number) => {
        pool.size += count;
      },
      shrink: (count: number) => {
        pool.size -= count;
      },
    };
    return pool;
  }

  it('grows with each message and shrinks when it has been quiet for the keepalive', async () => {
    const clock = createClock();
    const pool = aPool(2);
    let reserved = 0;
    const scaler = new Autoscaler({ pool, reserved: () => reserved, max: 5, min: 2, system: clock.system });
    scaler.start();
    for (reserved = 1; reserved <= 8; reserved += 1) scaler.onTaskReceived();
    expect(pool.size).toBe(5);
    reserved = 1;
    await clock.advance(29);
    expect(pool.size).toBe(5);
    await clock.advance(40);
    expect(pool.size).toBe(2);
    expect(scaler.stats()).toEqual({ max: 5, min: 2, current: 2, qty: 1 });
    scaler.close();
    expect(clock.timers).toBe(0);
  });

  it('keeps to new bounds at once and tells how far max has moved', () => {
    const pool = aPool(4);
    const scaler = new Autoscaler({ pool, reserved: () => 4, max: 6, min: 1, system: createClock().system });
    expect(scaler.update(3, undefined)).toEqual({ max: 3, min: 1, maxChange: -3 });
    expect(pool.size).toBe(3);
    expect(scaler.update(9, 7)).toEqual({ max: 9, min: 7, maxChange: 6 });
    expect(pool.size).toBe(7);
  });
});
