import { describe, expect, it } from 'vitest';
import { openPool, pools } from '../../../../src/worker/pool/index.ts';
import { manualSystem } from '../../../support/manual-system.ts';

describe('the name of a pool', () => {
  it.each([
    ['processes', 'prefork'],
    ['gevent', 'async'],
    ['eventlet', 'async'],
  ])('%s is another name for %s', async (name, pool) => {
    expect(await pools.get(name)?.()).toBe(await pools.get(pool)?.());
  });

  it('that nobody knows is refused with those that are known', async () => {
    await expect(openPool('fibres', { size: 1, system: manualSystem() })).rejects.toThrow(/'fibres'.*prefork.*solo/);
  });
});
