/** Where the health endpoint listens, and how it ends. `integration/health.test.ts` asks it. */
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { describe, expect, it } from 'vitest';
import { nodeSystem } from '../../../src/core/system.ts';
import { Health } from '../../../src/worker/health.ts';
import { testLogger } from '../../support/logger.ts';

/** Not every machine has it. */
function withIpv6(host: string): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  return addresses.some(({ address }) => address === '::1') ? [host] : [];
}

async function openHealth(host: string) {
  const logger = testLogger();
  const system = nodeSystem({ log: logger.log });
  const health = await Health.open({ nodeName: 'w@x', port: 0, host, system });
  return { health, warnings: logger.find('asks for no password') };
}

describe('the health endpoint', () => {
  it.each(['0.0.0.0', ...withIpv6('::')])(
    'says that others may ask when it listens on %s, and which setting did that',
    async (host) => {
      const { health, warnings } = await openHealth(host);
      await health.close();
      expect(warnings).toMatchObject([
        { level: 'warn', host, port: health.port, msg: expect.stringContaining('workerHealthHost') },
      ]);
    },
  );

  it.each(['127.0.0.1', 'localhost', ...withIpv6('::1')])('says nothing on %s', async (host) => {
    const { health, warnings } = await openHealth(host);
    await health.close();
    expect(warnings).toEqual([]);
  });

  it('ends at once, whoever is still connected', async () => {
    const { health } = await openHealth('127.0.0.1');
    const socket = connect(health.port, '127.0.0.1').on('error', () => undefined);
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.write('GET /livez HTTP/1.1\r\n'); // and never the rest
    const gone = new Promise((resolve) => socket.once('close', resolve));
    await health.close();
    await gone;
  });
});
