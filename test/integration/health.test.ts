/** The health endpoint of a worker, asked as a prober asks, with a broker that comes and goes. */
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { until } from '../support/until.ts';
import { proxyTo } from './beat-support.ts';

const tasksOn = (port: number): string => `
import { Celery } from 'celery-ts';
export const app = new Celery('tasks', { workerHealthPort: ${port} });
export const add = app.task('tasks.add', (x, y) => x + y);
`;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

describe('the health endpoint', () => {
  it('is alive through an outage of the broker, ready only while tasks can come, and counts them', async () => {
    const port = await freePort();
    await using broker = await testBroker();
    await using proxy = await proxyTo(broker.url);
    await using project = await tempProject({ 'tasks.mjs': tasksOn(port) });
    const env = { CELERY_BROKER_URL: proxy.url };
    const ask = async (path: string): Promise<[number, string]> => {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`);
      return [answer.status, await answer.text()];
    };
    await using worker = project.start(['worker', '-A', 'tasks', '-P', 'solo', '-l', 'INFO'], env);
    await worker.line(/ready\./);
    expect([await ask('/livez'), await ask('/readyz')]).toEqual([
      [200, 'ok\n'],
      [200, 'ok\n'],
    ]);
    await project.run(['call', 'tasks.add', '-a', '[1, 2]', '-A', 'tasks'], { CELERY_BROKER_URL: broker.url });
    await worker.line(/Task succeeded/);
    const [, metrics] = await ask('/metrics');
    expect(metrics).toMatch(/^celery_worker_tasks_started_total\{task="tasks.add"\} 1$/m);
    expect(metrics).toMatch(/^celery_worker_ready 1$/m);
    expect(metrics).toMatch(/^celery_worker_amqp_deliveries_total [1-9]\d*$/m);
    for (const line of metrics.trimEnd().split('\n')) {
      expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [\d.e+-]+)$/);
    }
    expect((await ask('/else'))[0]).toBe(404);

    proxy.cut();
    await until(async () => (await ask('/readyz'))[0] === 503, { what: 'not ready' });
    expect(await ask('/livez')).toEqual([200, 'ok\n']);
    proxy.restore();
    await until(async () => (await ask('/readyz'))[0] === 200, { what: 'ready again', withinSeconds: 30 });
    expect((await worker.stop()).code).toBe(0);
  }, 90_000);

  it('stops the worker from starting, with 78, when its port is taken', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', () => resolve()));
    try {
      const address = taken.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      await using broker = await testBroker();
      await using project = await tempProject({ 'tasks.mjs': tasksOn(port) });
      const { code, stderr } = await project.run(['worker', '-A', 'tasks'], { CELERY_BROKER_URL: broker.url });
      expect([code, stderr]).toEqual([78, expect.stringMatching(/workerHealthPort.*EADDRINUSE/)]);
    } finally {
      await new Promise((resolve) => taken.close(resolve));
    }
  });
});
