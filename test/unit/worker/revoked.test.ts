import { describe, expect, it } from 'vitest';
import { Revoked } from '../../../src/worker/revoked.ts';

const now = 1_700_000_000_000;
const aMessage = (id: string, stamps: Record<string, unknown> = {}) => ({
  id,
  stamps,
  stampedHeaders: Object.keys(stamps),
});

describe('revoked tasks', () => {
  it('are remembered by id for their time', () => {
    const revoked = new Revoked({ expireSeconds: 10 });
    revoked.add(['a'], now);
    expect(revoked.has(aMessage('a'), now + 9_999)).toBe(true);
    expect(revoked.has(aMessage('a'), now + 10_000)).toBe(false);
    expect(revoked.has(aMessage('b'), now)).toBe(false);
  });

  it('forget the oldest when there are too many, and a repeated id is young again', () => {
    const revoked = new Revoked({ max: 2 });
    revoked.add(['a', 'b'], now);
    revoked.add(['a'], now + 1);
    revoked.add(['c'], now + 2);
    expect(revoked.entries(now + 2).map(([id]) => id)).toEqual(['a', 'c']);
  });

  it('match a stamp of the message that was revoked, if the message lists it', () => {
    const revoked = new Revoked();
    revoked.addStamps({ tenant: ['t1', 't2'] });
    expect(revoked.has(aMessage('x', { tenant: 't2' }), now)).toBe(true);
    expect(revoked.has(aMessage('x', { tenant: ['t9', 't1'] }), now)).toBe(true);
    expect(revoked.has(aMessage('x', { tenant: 't3' }), now)).toBe(false);
    expect(revoked.has({ id: 'x', stamps: { tenant: 't1' }, stampedHeaders: [] }, now)).toBe(false);
  });
});
