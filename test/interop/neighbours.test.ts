/** A celery-ts worker and a Python worker side by side: mingle both ways, clocks, and elections with one winner. */
import { Celery } from 'celery-ts';
import { startWorker } from 'celery-ts/testing';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { pythonProject } from '../support/python.ts';
import { until } from '../support/until.ts';

const python = `
import os
from celery import Celery
app = Celery('proj', broker=os.environ['BROKER'], backend='rpc://')
`;

describe('a Python worker and a celery-ts worker', () => {
  it('tell each other what is revoked and how late it is, whoever starts later', async () => {
    await using broker = await testBroker();
    const env = { BROKER: broker.url };
    await using app = new Celery('proj', { brokerUrl: broker.url });
    await using late = new Celery('proj', { brokerUrl: broker.url });
    await using project = await pythonProject({ 'proj.py': python });
    await using first = await startWorker(app, { name: 'ts1@host' });
    const ask = (node: string) => app.control.inspect({ destination: node, timeout: 10 });
    await app.control.revoke(['known-early', 'also-known'], { reply: true, destination: ['ts1@host'], timeout: 10 });
    for (let n = 0; n < 30; n += 1) await ask('ts1@host').clock();

    // Python comes later: it asks ours
    await using worker = project.celery(['-A', 'proj', 'worker', '-P', 'solo', '-n', 'py1@host', '-l', 'INFO'], env);
    await worker.line(/py1@host ready/, 40);
    expect(worker.output).toMatch(/sync with 1 nodes/);

    expect([...((await ask('py1@host').revoked()) as string[])].sort()).toEqual(['also-known', 'known-early']);
    expect(await ask('py1@host').clock()).toMatchObject({ clock: expect.toSatisfy((clock: number) => clock > 30) });

    // Ours comes later: it asks Python
    await app.control.revoke('known-to-python', { reply: true, destination: ['py1@host'], timeout: 10 });
    await first.close();
    await using _second = await startWorker(late, { name: 'ts2@host' });
    expect(await ask('ts2@host').revoked()).toEqual(
      expect.arrayContaining(['known-early', 'also-known', 'known-to-python']),
    );
  });

  it('hold elections that exactly one of them wins', async () => {
    await using broker = await testBroker();
    await using app = new Celery('proj', { brokerUrl: broker.url, taskDefaultQueue: 'elected' });
    const ran: string[] = [];
    app.task('proj.note', (text: string) => void ran.push(text));
    await using project = await pythonProject({ 'proj.py': python });
    await using worker = project.celery(
      ['-A', 'proj', 'worker', '-P', 'solo', '-n', 'py1@host', '-Q', 'other', '-l', 'DEBUG'],
      { BROKER: broker.url },
    );
    await worker.line(/py1@host ready/, 40);
    await using _worker = await startWorker(app, { name: 'ts1@host' });
    await until(async () => /ts1@host joined the party/.test(worker.output), { what: 'Python to see ours' });
    const action = (text: string): object => ({
      task: 'proj.note',
      args: [text],
      kwargs: {},
      options: { queue: 'elected' },
      subtask_type: null,
      immutable: false,
    });
    // Python is asked when it has seen our bid and its own answer to that: a Python worker that knows of one bid only
    // when an answer comes back ends with an IndexError (kombu's sort_heap), beside another Python worker too.
    const seenByPython = new Set<unknown>();
    const receiver = await app.events.receiver({
      routingKey: 'worker.elect.ack',
      handlers: {
        'worker-elect-ack': ({ hostname, id }) => {
          if (hostname === 'py1@host') seenByPython.add(id);
        },
      },
    });
    const told = { reply: true, timeout: 10 };
    for (let n = 0; n < 10; n += 1) {
      const id = `election ${n}`;
      await app.control.election(id, 'task', action(id), { ...told, destination: ['ts1@host'] });
      await until(() => seenByPython.has(id), { what: 'Python to answer our bid' });
      await app.control.election(id, 'task', action(id), { ...told, destination: ['py1@host'] });
      await until(() => ran.length > n, { what: `election ${n} to be decided` });
    }
    await receiver.close();
    await app.sendTask('proj.note', ['last']);
    await until(() => ran.includes('last'), { what: 'the last' });
    expect(ran).toEqual([...Array.from({ length: 10 }, (_, n) => `election ${n}`), 'last']);
    expect(worker.output).not.toContain('Unrecoverable');
  });
});
