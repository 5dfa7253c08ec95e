/** When a task runs again: the vectors of worker-behaviour.json, area retry. */
import { describe, expect, it } from 'vitest';
import { automaticDelaySeconds, backoffSeconds, mayRetry } from '../../../src/task/retry.ts';

const never = (): number => {
  throw new Error('No chance is asked for.');
};

describe('a backoff', () => {
  it.each([
    { factor: 1, retries: 0, max: 600, seconds: 1 },
    { factor: 1, retries: 1, max: 600, seconds: 2 },
    { factor: 1, retries: 5, max: 600, seconds: 32 },
    { factor: 2, retries: 3, max: 600, seconds: 16 },
    { factor: 10, retries: 10, max: 600, seconds: 600 },
    { factor: 5, retries: 0, max: 600, seconds: 5 },
    { factor: 1, retries: 5000, max: 600, seconds: 600 },
  ])('of factor $factor after $retries retries is $seconds s', ({ seconds, ...given }) => {
    expect(backoffSeconds({ ...given, jitter: false }, never)).toBe(seconds);
  });

  it('is drawn from 0 to its whole value when jittered', () => {
    const given = { factor: 1, retries: 3, max: 600, jitter: true };
    expect(backoffSeconds(given, () => 0)).toBe(0);
    expect(backoffSeconds(given, () => 0.5)).toBe(4);
    expect(backoffSeconds(given, () => 0.999999)).toBe(8);
  });
});

describe('an automatic retry', () => {
  it("takes its countdown from retryKwargs, and the task's own delay without one", () => {
    expect(automaticDelaySeconds({ retryKwargs: { countdown: 7 } }, 0, never)).toBe(7);
    expect(automaticDelaySeconds({}, 0, never)).toBeUndefined();
  });

  it('is jittered and bounded by 600 s unless told otherwise; a factor counts as a whole number of at least 1', () => {
    expect(automaticDelaySeconds({ retryBackoff: true }, 20, () => 0.999999)).toBe(600);
    expect(automaticDelaySeconds({ retryBackoff: true, retryJitter: false }, 2, never)).toBe(4);
    expect(automaticDelaySeconds({ retryBackoff: 2.9, retryJitter: false }, 1, never)).toBe(4);
    expect(automaticDelaySeconds({ retryBackoff: 0.2, retryJitter: false }, 1, never)).toBe(2);
    expect(automaticDelaySeconds({ retryBackoff: 1, retryBackoffMax: 3, retryJitter: false }, 9, never)).toBe(3);
  });
});

describe('the number of retries', () => {
  it('is bounded, or endless with null', () => {
    expect([mayRetry(2, 3), mayRetry(3, 3), mayRetry(1e9, null)]).toEqual([true, false, true]);
  });
});
