import { describe, expect, it } from 'vitest';
import { ImproperlyConfigured } from '../../../src/core/errors.ts';
import { perSecond, RateLimits } from '../../../src/worker/rate-limits.ts';
import behaviour from '../../spec/worker-behaviour.json' with { type: 'json' };

const now = 1_700_000_000_000;

describe('a rate', () => {
  const vectors = behaviour.behaviours
    .filter(({ area }) => area === 'rate_limit')
    .flatMap((row) => ('vector' in row ? (row.vector as { in: string; per_second?: number; error?: string }[]) : []));

  it.each(vectors.filter(({ per_second }) => per_second !== undefined))('$in is $per_second a second', (vector) => {
    expect(perSecond(vector.in) ?? 0).toBeCloseTo(vector.per_second ?? 0, 5);
  });

  it.each(vectors.filter(({ error }) => error !== undefined))('$in is refused', (vector) => {
    expect(() => perSecond(vector.in)).toThrow(ImproperlyConfigured);
  });

  it('may be absent', () => {
    expect([perSecond(null), perSecond(undefined), perSecond(''), perSecond(0), perSecond('0/m')]).toEqual(
      Array.from({ length: 5 }),
    );
  });
});

describe('rate limits', () => {
  it('give turns one after another, the first at once', () => {
    const limits = new RateLimits(() => '2/s');
    const turns = [1, 2, 3].map(() => limits.takeTurn('tasks.add', now) - now);
    expect(turns).toEqual([0, 500, 1000]);
  });

  it('save no turns that nobody took', () => {
    const limits = new RateLimits(() => '1/s');
    limits.takeTurn('tasks.add', now);
    const later = now + 60_000;
    expect([limits.takeTurn('tasks.add', later), limits.takeTurn('tasks.add', later)]).toEqual([later, later + 1000]);
  });

  it('count each task for itself, and tasks without a limit not at all', () => {
    const limits = new RateLimits((name) => (name === 'slow' ? '1/m' : null));
    limits.takeTurn('slow', now);
    expect(limits.takeTurn('slow', now)).toBe(now + 60_000);
    expect([limits.takeTurn('fast', now), limits.takeTurn('fast', now)]).toEqual([now, now]);
    expect([limits.isLimited('slow'), limits.isLimited('fast')]).toEqual([true, false]);
  });

  it('change while the worker runs', () => {
    const limits = new RateLimits(() => '1/h');
    limits.takeTurn('tasks.add', now);
    limits.set('tasks.add', '10/s');
    limits.takeTurn('tasks.add', now);
    expect(limits.takeTurn('tasks.add', now)).toBe(now + 100);
    limits.set('tasks.add', 0);
    expect(limits.takeTurn('tasks.add', now)).toBe(now);
    expect(() => limits.set('tasks.add', 'often')).toThrow(ImproperlyConfigured);
  });
});
