/** `celery-ts inspect`, `control`, `status` and `events --dump` on a Python worker. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { type TempProject, tempProject } from '../support/cli.ts';
import type { Program } from '../support/process.ts';
import { type PythonProject, pythonProject } from '../support/python.ts';

const app = `
import os, time
from celery import Celery
app = Celery('proj', broker=os.environ['BROKER'], backend='rpc://')
app.conf.task_send_sent_event = True
app.conf.worker_pool_restarts = True

@app.task(name='proj.add')
def add(x, y):
    return x + y

@app.task(name='proj.slow')
def slow(seconds):
    time.sleep(seconds)

@app.task(name='proj.fail')
def fail():
    raise ValueError('bad value')
`;

let broker: TestBroker;
let python: PythonProject;
let worker: Program;
let project: TempProject;

interface Printed {
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** `celery-ts …words` without an app of ours: the broker is all it needs. */
const run = async (...words: string[]): Promise<Printed> => {
  const { code, stderr, stdout } = await project.run([...words, '-b', broker.url]);
  return { code, stdout, stderr };
};

/** Asked of the one Python worker, as JSON. */
const answer = async (kind: 'inspect' | 'control', command: string): Promise<unknown> => {
  const { code, stderr, stdout } = await run(kind, ...command.split(' '), '-j', '-t', '20', '-d', 'py1@host');
  expect([0, 1], stderr).toContain(code);
  const all: unknown = JSON.parse(stdout);
  const replies = kind === 'control' ? (all as unknown[])[0] : all;
  return (replies as Record<string, unknown>)['py1@host'];
};

const answers = async (kind: 'inspect' | 'control', ...commands: string[]): Promise<unknown[]> => {
  const found: unknown[] = [];
  const atATime = kind === 'inspect' ? 3 : 1; // what changes something goes one by one
  for (let at = 0; at < commands.length; at += atATime) {
    found.push(...(await Promise.all(commands.slice(at, at + atATime).map((command) => answer(kind, command)))));
  }
  return found;
};

/** Sends tasks from Python and gives their ids. */
const send = async (code: string): Promise<string[]> =>
  (await python.evaluate(`from app import *\nprint(json.dumps([r.id for r in (${code},)]))`, {
    BROKER: broker.url,
  })) as string[];

beforeAll(async () => {
  broker = await testBroker();
  project = await tempProject();
  python = await pythonProject({ 'app.py': app });
  worker = python.celery(['-A', 'app', 'worker', '-c', '1', '-n', 'py1@host', '-E', '-l', 'INFO'], {
    BROKER: broker.url,
  });
  await worker.line(/py1@host ready/, 40);
});

afterAll(async () => {
  await worker?.[Symbol.asyncDispose]();
  await python?.close();
  await project?.close();
  await broker?.close();
});

describe('the tools of celery-ts on a Python worker:', () => {
  it('status and inspect ping find it and print what Celery prints', async () => {
    const [status, ping, quiet] = await Promise.all([
      run('status'),
      run('inspect', 'ping', '--pattern', 'py*@host'),
      run('inspect', 'ping', '-q', '-d', 'py1@host'),
    ]);
    expect(status).toEqual({ code: 0, stderr: '', stdout: '->  py1@host: OK\n\n1 node online.\n' });
    expect(ping).toEqual({ code: 0, stderr: '', stdout: '->  py1@host: OK\n        pong\n\n1 node online.\n' });
    expect(quiet).toEqual({ code: 0, stderr: '', stdout: ' py1@host: OK\n        pong\n' });
  });

  it('every inspect command is answered', async () => {
    const [running = '', waiting = ''] = await send('slow.delay(600), add.delay(1, 2)');
    await expect
      .poll(() => answer('inspect', 'active'), { timeout: 20_000 })
      .toMatchObject([{ id: running, name: 'proj.slow' }]);
    const [reserved, query, scheduled, revoked, registered, stats, conf, queues, clock, report] = await answers(
      'inspect',
      'reserved',
      `query_task ${running} ${waiting} nobody`,
      'scheduled',
      'revoked',
      'registered',
      'stats',
      'conf',
      'active_queues',
      'clock',
      'report',
    );
    expect(reserved).toMatchObject([{ id: waiting, args: [1, 2] }]);
    expect(query).toMatchObject({ [running]: ['active', { id: running }], [waiting]: ['reserved', { id: waiting }] });
    expect(scheduled).toEqual([]);
    expect(revoked).toEqual([]);
    expect(registered).toEqual(['proj.add', 'proj.fail', 'proj.slow']);
    expect(stats).toMatchObject({ total: { 'proj.slow': 1 }, pid: worker.pid });
    expect(conf).toMatchObject({ task_send_sent_event: true });
    expect(queues).toMatchObject([{ name: 'celery' }]);
    expect(clock).toEqual({ clock: expect.any(Number) });
    expect(report).toEqual({ ok: expect.stringContaining('software -> celery:') });
    expect(await answers('inspect', 'memsample', 'memdump 3')).toHaveLength(2); // what they say depends on psutil
    const printed = await run('inspect', 'active_queues', '-d', 'py1@host');
    expect(printed.stdout).toMatch(/^->\s+py1@host: OK\n {4}\* \{'name': 'celery', 'exchange': \{.*'durable': True/);
    expect(await answer('control', `terminate SIGTERM ${running}`)).toEqual({ ok: `terminate: ${running}` });
  });

  it('every control command is obeyed', async () => {
    expect(
      await answers(
        'control',
        'rate_limit proj.add 100/s',
        'rate_limit proj.nobody 5/m',
        'time_limit proj.add 30 60.5',
        'revoke one two',
        'revoke_by_stamped_headers tenant=a',
        'add_consumer extra',
        'cancel_consumer extra',
        'pool_grow 1',
        'pool_shrink 1',
        'autoscale 3 1',
        'pool_restart',
        'heartbeat',
        'enable_events',
        'disable_events',
      ),
    ).toEqual([
      { ok: 'new rate limit set successfully' },
      { error: 'unknown task' },
      { ok: 'time limits set successfully' },
      { ok: expect.stringMatching(/flagged as revoked/) },
      { ok: expect.stringMatching(/flagged as revoked, but not terminated/) },
      { ok: 'add consumer extra' },
      { ok: 'no longer consuming from extra' },
      { ok: 'pool will grow' },
      { ok: 'pool will shrink' },
      { error: "ValueError('Autoscale not enabled')" },
      { ok: 'reload started' },
      null,
      { ok: expect.stringContaining('enabled') },
      { ok: expect.stringContaining('disabled') },
    ]);
    expect(await answer('inspect', 'revoked')).toEqual(expect.arrayContaining(['one', 'two']));
    expect(await answer('inspect', 'registered rate_limit')).toContain('proj.add [rate_limit=100/s]');
  });

  it('events --dump prints its events, as text and as JSON', async () => {
    await using dump = project.start(['events', '--dump', '-b', broker.url]);
    await using json = project.start(['events', '-d', '-j', '-p', 'py1@*', '-b', broker.url]);
    await Promise.all([dump.line(/py1@host .*heartbeat/), json.line(/worker-heartbeat/)]);
    const [id = ''] = await send('fail.delay()');
    const [received, failed] = await Promise.all([
      dump.line(new RegExp(`py1@host .* task received: proj.fail\\(${id}\\) args=\\(\\) kwargs=\\{\\} clock=`)),
      dump.line(new RegExp(`task failed: proj.fail\\(${id}\\) .*exception=ValueError\\('bad value'\\)`)),
    ]);
    expect(received).toMatch(/\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?\+00:00\]/);
    expect(failed).toContain('traceback=Traceback (most recent call last):\\n');
    const documents = json.stdout.trim().split('\n');
    expect(documents.map((line) => JSON.parse(line).type)).toEqual(expect.arrayContaining(['worker-heartbeat']));
    await json.line(/"type":"task-failed"/);
    expect(json.stdout).not.toContain('task-sent'); // of the client, which the pattern leaves out
    expect(dump.stdout).toContain('task sent: proj.fail');
  });

  it('control shutdown says who was there, and stops it', async () => {
    const { code, stdout } = await run('control', 'shutdown', '-d', 'py1@host', '-t', '20');
    expect({ code, stdout }).toEqual({ code: 0, stdout: '->  py1@host: OK\n' });
    await worker.ended;
    const gone = await run('inspect', 'ping', '-t', '0.3');
    expect(gone.code).toBe(69);
    expect(gone.stderr).toMatch(
      /^Error: No nodes replied within time constraint \(0\.3 s\)\. Is a worker running on amqp:\/\/guest:\*\*@.*\?\n$/,
    );
  });
});
