import { fstatSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Claimant, Claims } from '../../../../src/worker/pool/prefork/claims.ts';

function opened(): { claims: Claims; claimant: Claimant; [Symbol.dispose](): void } {
  const claims = Claims.open();
  if (claims === undefined) throw new Error('no claims here');
  // The same descriptor stands for the one a child inherits: the position belongs to the open file, not to the process.
  return { claims, claimant: new Claimant(claims.fd), [Symbol.dispose]: () => claims.close() };
}

describe('claims on jobs that were handed ahead', () => {
  it('go to whoever takes them first, each once', () => {
    using world = opened();
    const { claims, claimant } = world;
    claims.offer([1, 2, 3]);
    claims.offer([4]);
    expect(claimant.claim()).toBe(1);
    expect(claimant.claim()).toBe(2);
    expect(claims.recall()).toEqual([3, 4]);
    expect(claimant.claim()).toBeUndefined();
    expect(claims.recall()).toEqual([]);
    claims.offer([5]);
    expect(claimant.claim()).toBe(5);
  });

  it('are recalled all, however many', () => {
    using world = opened();
    const many = Array.from({ length: 1000 }, (_, index) => index * 4_000_000);
    world.claims.offer(many);
    expect(world.claims.recall()).toEqual(many);
  });

  it('do not fill the disk: what was taken is given back', () => {
    using world = opened();
    const { claims, claimant } = world;
    const batch = Array.from({ length: 64 * 1024 }, (_, index) => index);
    while (claims.hasRoom) {
      claims.offer(batch);
      expect(claims.recall()).toHaveLength(batch.length);
    }
    expect(fstatSync(claims.fd).blocks).toBeGreaterThan(0);
    claims.tidy();
    expect(claims.hasRoom).toBe(true);
    expect(fstatSync(claims.fd).blocks).toBe(0);
    claims.offer([42]);
    expect(claimant.claim()).toBe(42);
    expect(fstatSync(claims.fd).blocks).toBeLessThan(32);
  });
});
