import { describe, expect, it } from 'vitest';
import { backoffMs } from '../../../src/core/backoff.ts';

const backoff = { firstMs: 100, longestMs: 30_000 };

describe('backoffMs', () => {
  it('doubles from the first wait to the longest', () => {
    const waits = Array.from({ length: 11 }, (_, attempt) =>
      backoffMs(attempt, { ...backoff, jitter: 'none' }, () => 0.5),
    );
    expect(waits).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
  });

  it('spreads each wait evenly from nothing to all of it', () => {
    expect([0, 0.25, 0.5, 0.999].map((chance) => backoffMs(2, backoff, () => chance))).toEqual([0, 100, 200, 399.6]);
  });

  it('stays at the longest wait however often it failed', () => {
    expect(backoffMs(100_000, { ...backoff, jitter: 'none' }, () => 0)).toBe(30_000);
  });

  it('takes another factor', () => {
    expect(backoffMs(3, { firstMs: 1, longestMs: 1000, factor: 3, jitter: 'none' }, () => 0)).toBe(27);
  });
});
