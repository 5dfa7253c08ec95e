/** Workers side by side: what they tell each other at the start, who is there, and which of them does what only one may do. */
import { Celery } from 'celery-ts';
import { startWorker } from 'celery-ts/testing';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { until } from '../support/until.ts';

function appOn(url: string, ran: string[]): Celery {
  const app = new Celery('neighbours', { brokerUrl: url, resultBackend: 'rpc://' });
  app.task('note', (text: string) => void ran.push(text));
  return app;
}

const note = (text: string): object => ({
  task: 'note',
  args: [text],
  kwargs: {},
  options: {},
  subtask_type: null,
  immutable: false,
});

describe('workers side by side', () => {
  it('choose exactly one among them for each election', async () => {
    await using broker = await testBroker();
    const ran: string[] = [];
    await using first = appOn(broker.url, ran);
    await using second = appOn(broker.url, ran);
    await using third = appOn(broker.url, ran);
    await using _one = await startWorker(first, { name: 'one' });
    await using _two = await startWorker(second, { name: 'two' });
    await using _three = await startWorker(third, { name: 'three' });
    const elections = Array.from({ length: 20 }, (_, n) => `election ${n}`);
    await Promise.all(elections.map((id) => first.control.election(id, 'task', note(id))));
    await until(() => ran.length >= elections.length, { what: 'every election to be decided' });
    // Another task after them: had two won, the second task would be before it in the queue.
    await (await first.sendTask('note', ['last'])).get({ timeout: 10 });
    expect([...ran].sort()).toEqual([...elections, 'last'].sort());
  });

  it('decide without those that take no part, after five seconds', async () => {
    await using broker = await testBroker();
    const ran: string[] = [];
    await using app = appOn(broker.url, ran);
    await using project = await tempProject({
      'tasks.ts': `
import { Celery } from 'celery-ts';
export const app = new Celery('neighbours', { brokerUrl: process.env.BROKER, taskDefaultQueue: 'other' });
`,
    });
    await using shy = project.start(['worker', '-A', 'tasks', '-n', 'shy@host', '-P', 'solo', '--without-gossip'], {
      BROKER: broker.url,
    });
    await shy.line(/ready/);
    await using _worker = await startWorker(app, { name: 'keen' });
    let isSeen = false;
    const receiver = await app.events.receiver({
      handlers: {
        'worker-heartbeat': ({ hostname }) => {
          isSeen ||= hostname === 'shy@host';
        },
      },
    });
    await until(() => isSeen, { what: 'the heartbeat of the other, which the keen one hears too' });
    await receiver.close();
    const startedAt = performance.now();
    await app.control.election('once', 'task', note('elected'));
    await until(() => ran.length > 0, { what: 'the election to be decided' });
    expect(performance.now() - startedAt).toBeGreaterThan(4_000);
    expect(ran).toEqual(['elected']);
  });

  it('refuse what is no signature, and go on', async () => {
    await using broker = await testBroker();
    const ran: string[] = [];
    await using app = appOn(broker.url, ran);
    await using _worker = await startWorker(app, { name: 'one' });
    for (const [at, action] of [
      null,
      7,
      'note',
      [],
      {},
      { task: 7 },
      { task: 'note', args: 7 },
      { task: 'note', options: [] },
    ].entries()) {
      await app.control.election(`bad ${at}`, 'task', action);
    }
    await app.control.election('unknown topic', 'lunch', note('never'));
    await app.control.election('good', 'task', note('good'));
    await until(() => ran.length > 0, { what: 'the good one' });
    expect(ran).toEqual(['good']);
    expect(await app.control.inspect({ timeout: 1 }).ping()).not.toBeNull();
  });

  it('share their clocks: who starts later is not behind', async () => {
    await using broker = await testBroker();
    await using first = appOn(broker.url, []);
    await using second = appOn(broker.url, []);
    await using _old = await startWorker(first, { name: 'old' });
    for (let n = 0; n < 50; n += 1) await first.control.inspect({ timeout: 5, destination: [_old.nodeName] }).clock();
    const clockOf = async (node: string): Promise<number> => {
      const answer = await first.control.inspect({ destination: node, timeout: 5 }).clock();
      return answer !== null && 'clock' in answer ? answer.clock : 0;
    };
    const before = await clockOf(_old.nodeName);
    expect(before).toBeGreaterThan(50);
    await using young = await startWorker(second, { name: 'young' });
    expect(await clockOf(young.nodeName)).toBeGreaterThan(before);
  });

  it('answer by their names, and say nothing to themselves', async () => {
    await using broker = await testBroker();
    await using app = appOn(broker.url, []);
    await using worker = await startWorker(app, { name: 'one@here' });
    const inspect = app.control.inspect({ destination: 'one@here', timeout: 5 });
    expect(worker.nodeName).toBe('one@here');
    await app.control.revoke('gone', { reply: true, destination: ['one@here'], timeout: 5 });
    expect(await inspect.hello('one@here')).toBeNull();
    expect(await inspect.hello('other@here', { theirs: [1.5, 'theirs'] })).toMatchObject({
      revoked: { gone: [expect.any(Number), 'gone'], theirs: [expect.any(Number), 'theirs'] },
      clock: expect.any(Number),
    });
    expect(await inspect.revoked()).toEqual(['gone', 'theirs']);
  });
});
