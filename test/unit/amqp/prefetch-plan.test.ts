import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planPrefetch, type Share } from '../../../src/amqp/prefetch-plan.ts';

function apply(current: readonly Share[], base: number, extra: number, mayShare = true): Share[] {
  const plan = planPrefetch(current, { base, extra }, mayShare);
  expect(plan.cancel.every((share) => current.includes(share))).toBe(true);
  return [...current.filter((share) => !plan.cancel.includes(share)), ...plan.add];
}

function sumOf(shares: readonly Share[], role: Share['role']): number {
  return shares.filter((share) => share.role === role).reduce((sum, { prefetch }) => sum + prefetch, 0);
}

const wanted = fc.record({ base: fc.nat(300), extra: fc.nat(10_000) });

describe('the prefetch of a queue', () => {
  it('is met exactly in its base and at least in its extra, by few consumers, whatever was wanted before', () => {
    fc.assert(
      fc.property(fc.array(wanted, { minLength: 1, maxLength: 60 }), (row) => {
        let shares: Share[] = [];
        for (const { base, extra } of row) {
          shares = apply(shares, base, extra);
          expect(shares.length).toBeLessThanOrEqual(16);
          if (base === 0) {
            expect(shares).toEqual([{ prefetch: 0, role: 'base' }]);
            continue;
          }
          expect(sumOf(shares, 'base')).toBe(base);
          expect(shares.every(({ prefetch }) => prefetch > 0)).toBe(true);
          expect(sumOf(shares, 'extra')).toBeGreaterThanOrEqual(extra);
        }
      }),
    );
  });

  it('settles: asking for the same again changes nothing', () => {
    fc.assert(
      fc.property(fc.array(wanted, { minLength: 1, maxLength: 20 }), fc.boolean(), (row, mayShare) => {
        let shares: Share[] = [];
        for (const { base, extra } of row) {
          shares = apply(shares, base, extra, mayShare);
          expect(apply(shares, base, extra, mayShare)).toEqual(shares);
        }
      }),
    );
  });

  it('never goes beyond the most that is allowed in all, whatever is held', () => {
    fc.assert(
      fc.property(
        fc.array(wanted, { minLength: 1, maxLength: 30 }),
        fc.nat(400),
        fc.boolean(),
        (row, most, mayShare) => {
          let shares: Share[] = [];
          for (const { base: any, extra } of row) {
            const base = any + 1;
            const mostExtra = Math.max(0, most - base);
            const plan = planPrefetch(shares, { base, extra, mostExtra }, mayShare);
            shares = [...shares.filter((share) => !plan.cancel.includes(share)), ...plan.add];
            const sum = shares.reduce((total, { prefetch }) => total + prefetch, 0);
            expect(sum).toBeLessThanOrEqual(Math.max(base, most));
            expect(sum).toBeGreaterThanOrEqual(base + Math.min(extra, mostExtra));
          }
        },
      ),
    );
  });

  it('grows by one held message at a time with a handful of changes, and no more than by half too much', () => {
    let shares = apply([], 4, 0);
    let changes = 0;
    for (let held = 1; held <= 10_000; held += 1) {
      const next = apply(shares, 4, held);
      if (next.length !== shares.length || next.some((share, index) => share !== shares[index])) changes += 1;
      shares = next;
      expect(sumOf(shares, 'extra')).toBeLessThanOrEqual(Math.max(3, held * 1.5 + 4));
    }
    expect(changes).toBeLessThan(30);
    expect(apply(shares, 4, 0)).toEqual([{ prefetch: 4, role: 'base' }]);
  });

  it('grows by one more consumer and leaves the others alone', () => {
    const first = apply([], 5, 0);
    expect(planPrefetch(first, { base: 8, extra: 0 }, true)).toEqual({
      add: [{ prefetch: 3, role: 'base' }],
      cancel: [],
    });
  });

  it('is one consumer, replaced, where a queue takes one at a time', () => {
    fc.assert(
      fc.property(fc.array(wanted, { minLength: 1, maxLength: 40 }), (row) => {
        let shares: Share[] = [];
        for (const { base, extra } of row) {
          shares = apply(shares, base, extra, false);
          expect(shares).toHaveLength(1);
          const { prefetch } = shares[0] ?? { prefetch: -1 };
          if (base === 0 || extra === 0) expect(prefetch).toBe(base);
          else expect(prefetch).toBeGreaterThanOrEqual(base + extra);
        }
      }),
    );
  });
});
