/** A thousand questions in a row: neither side grows, and nothing is left on the broker. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Celery } from 'celery-ts';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { until } from '../support/until.ts';

const source = `import { Celery } from 'celery-ts';
export const app = new Celery('load', { brokerUrl: process.env.BROKER });
app.inspectCommand('heap', () => {
  globalThis.gc();
  return { ok: process.memoryUsage().heapUsed };
});
`;

/** Bytes that a thousand questions may leave behind: a ticket kept for each would be more. */
const mostGrowth = 250_000;

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

function heapHere(): number {
  if (typeof collect === 'function') collect();
  return process.memoryUsage().heapUsed;
}

describe('a thousand inspect pings in a row', () => {
  it('leave nothing behind: not in the worker, not in the client, not on the broker', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({ 'tasks.ts': source });
    await using worker = project.start(['worker', '-A', 'tasks', '-n', 'w1@host', '-P', 'solo'], {
      BROKER: broker.url,
      NODE_OPTIONS: '--expose-gc',
    });
    await worker.line(/ready/, 30);
    const app = new Celery('load', { brokerUrl: broker.url });
    const inspect = app.control.inspect({ destination: 'w1@host', timeout: 20 });
    const heapThere = async (): Promise<number> => ((await inspect.call('heap')) as { ok: number }).ok;
    const ping = async (times: number): Promise<void> => {
      let answered = 0;
      for (let n = 0; n < times; n += 1) {
        const answer = await inspect.ping();
        if (answer !== null && 'ok' in answer) answered += 1;
      }
      expect(answered).toBe(times);
    };
    await ping(3_000); // what is compiled and cached is by now: the heap levels off
    const before = { there: await heapThere(), here: heapHere() };
    const queues = await broker.management?.queues(broker.vhost);
    await ping(1_000);
    const after = { there: await heapThere(), here: heapHere() };
    expect(after.there - before.there).toBeLessThan(mostGrowth);
    expect(after.here - before.here).toBeLessThan(mostGrowth);
    expect((await broker.management?.queues(broker.vhost))?.length).toBe(queues?.length);
    expect(app.remote.mailbox.pending).toBe(0);
    await app.close();
    await worker.stop();
    await until(
      async () => ((await broker.management?.queues(broker.vhost)) ?? []).every(({ name }) => name === 'celery'),
      {
        what: 'the queues of remote control and events to be gone',
        withinSeconds: 20,
      },
    );
  });
});
