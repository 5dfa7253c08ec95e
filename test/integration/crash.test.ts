/**
 * A worker whose main process meets an error that nobody catches. Ours is provoked by taking the clock away from
 * everybody: the next heartbeat cannot tell the time.
 */
import { describe, expect, it } from 'vitest';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';

const tasks = `import { Celery } from 'celery-ts';
import { isMainThread } from 'node:worker_threads';
export const app = new Celery('tasks', { brokerUrl: process.env.BROKER });
app.task('tasks.nothing', () => undefined);
const isMain = process.send === undefined && isMainThread; // not a child of the pool
const message = 'mine, with amqp://me:' + ['s3', 'cret'].join('') + '@h'; // Node shows the line of the code, too
const doing = {
  'no clock': () => { Date.now = undefined; },
  'a throw': () => { throw new Error(message); },
  'a rejection': () => { void Promise.reject(new Error(message)); },
};
app.signals.workerReady.connect(() => { if (isMain) setTimeout(doing[process.env.DOING], 10); });
`;

async function crash(broker: TestBroker, doing: string, ...options: string[]) {
  await using project = await tempProject({ 'tasks.mjs': tasks });
  const env = { BROKER: broker.url, DOING: doing };
  const args = ['worker', '-A', 'tasks', '-c', '1', '--heartbeat-interval', '1', ...options];
  await using worker = project.start(args, env);
  const { code, stderr } = await worker.ended;
  return { code, stderr };
}

describe.each(['prefork', 'solo'])('an error that nobody catches, in a worker with the pool %s,', (pool) => {
  it('ends it with 70 and one line that says how to report it, when it is ours', async () => {
    await using broker = await testBroker();
    const { code, stderr } = await crash(broker, 'no clock', '-P', pool);
    expect(stderr).toMatch(
      /^Error: Date\.now is not a function \(this is a bug of celery-ts: please report it with .*\)\n$/,
    );
    expect(code).toBe(70);
  });

  it('shows its stack under --loglevel debug', async () => {
    await using broker = await testBroker();
    const { code, stderr } = await crash(broker, 'no clock', '-P', pool, '-l', 'DEBUG');
    expect(stderr).toMatch(/^Error: Date\.now is not a function .*\nTypeError: .*\n {4}at .*core\/system\.js/m);
    expect(code).toBe(70);
  });

  it.each(['a throw', 'a rejection'])(
    "ends it as Node ends programs, with the stack and 1, when it is the app's: %s",
    async (doing) => {
      await using broker = await testBroker();
      const { code, stderr } = await crash(broker, doing, '-P', pool);
      expect(stderr).toMatch(/^Error: mine, with amqp:\/\/me:\*+@h\n {4}at .*tasks\.mjs/m);
      expect(stderr).not.toMatch(/s3cret|bug of celery-ts/);
      expect(code).toBe(1);
    },
  );
});
