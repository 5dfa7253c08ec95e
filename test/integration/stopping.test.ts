/** The stop of a worker beside code of users that never ends, and the exit code of one that did not even start. */
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { tcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

const head = `
import { Celery, StartStopStep } from 'celery-ts';
export const app = new Celery('stopping', { shutdownTimeout: 3, workerPool: 'solo' });
const never = () => new Promise(() => {});
`;

describe('a stop', () => {
  it('waits for receivers of its signals and for steps within shutdownTimeout, and says for which it did not', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'tasks.mjs': `${head}
        app.signals.workerShuttingDown.connect(never);
        app.signals.workerShutdown.connect(never);
        app.steps.worker.add(class extends StartStopStep { close() { return never(); } });`,
    });
    await using worker = project.start(['worker', '-A', 'tasks'], { CELERY_BROKER_URL: broker.url });
    await worker.line(/ready\./);
    const { code, stderr } = await worker.stop(15);
    expect(code).toBe(0);
    for (const what of ['receivers of workerShuttingDown', 'closing steps', 'receivers of workerShutdown']) {
      expect(stderr.split('\n').filter((line) => line.includes('took too long') && line.includes(what))).toHaveLength(
        1,
      );
    }
  });

  it('of a worker whose start is held up by a silent broker is obeyed', async () => {
    await using broker = await testBroker();
    await using proxy = await tcpProxy(broker.url);
    await using project = await tempProject({
      'tasks.mjs': `${head}
        import { existsSync } from 'node:fs';
        app.steps.worker.add(class extends StartStopStep {
          async start() {
            console.error('the step starts');
            while (!existsSync('go')) await new Promise((resolve) => setTimeout(resolve, 20));
            console.error('the step has started');
          }
        });`,
    });
    await using worker = project.start(['worker', '-A', 'tasks'], { CELERY_BROKER_URL: proxy.url });
    await worker.line(/the step starts/);
    proxy.stall();
    await project.write('go', '');
    await worker.line(/the step has started/);
    const { code, stderr } = await worker.stop(15);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Error: The worker was to stop while it was starting/m);
  });

  it('of a worker with beat does not wait first for what beat is sending to a broker that is silent', async () => {
    await using broker = await testBroker();
    await using proxy = await tcpProxy(broker.url);
    await using project = await tempProject({
      'tasks.mjs': `${head}
        app.task('tick', () => console.error('tick ran'));
        app.conf.beatSchedule = { tick: { task: 'tick', schedule: 0.2 } };`,
    });
    const args = ['worker', '-A', 'tasks', '-B', '-l', 'INFO', '--without-gossip', '--without-mingle'];
    await using worker = project.start(args, { CELERY_BROKER_URL: proxy.url });
    await worker.line(/ready\./);
    await worker.line(/tick ran/);
    proxy.stall('to client');
    const ticks = (): number => worker.output.split('Sending due task').length;
    const before = ticks();
    await until(() => ticks() > before + 1 || undefined, { what: 'beat to send into the silence' });
    const began = performance.now();
    const { code } = await worker.stop(20);
    expect(code).toBe(1); // the broker could not be told what had ended
    expect(performance.now() - began).toBeLessThan(8_000);
  });
});

it('a start that failed is told by the exit code, whatever its cleaning up does', async () => {
  await using broker = await testBroker();
  await using project = await tempProject({
    'tasks.mjs': `${head}
      class Leaving extends StartStopStep { stop() { process.exit(); } }
      class Failing extends StartStopStep { static requires = [Leaving]; start() { throw new Error('not today'); } }
      app.steps.worker.add(Leaving);
      app.steps.worker.add(Failing);`,
  });
  const { code } = await project.run(['worker', '-A', 'tasks'], { CELERY_BROKER_URL: broker.url });
  expect(code).toBe(1);
});
