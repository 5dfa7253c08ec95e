/**
 * Remote control and events with Python Celery on the other side of the wire, room by room: a mailbox that asks a Python
 * worker, a node that a Python client asks, events both ways. Whole workers meet in other files.
 */
import { describe, expect, it } from 'vitest';
import { type CommandHandler, Control, ControlNode, isRefusal, Mailbox } from '../../src/control/index.ts';
import { LogicalClock } from '../../src/core/logical-clock.ts';
import { ClusterState, EventDispatcher, EventReceiver, type ReceivedEvent } from '../../src/events/index.ts';
import { createCodec } from '../../src/message/index.ts';
import { type AmqpPair, amqpPair } from '../support/amqp.ts';
import { testBroker } from '../support/broker.ts';
import { pythonProject } from '../support/python.ts';
import { until } from '../support/until.ts';

const codec = createCodec();

const app = [
  'import os',
  'from celery import Celery',
  "app = Celery('app', broker=os.environ['BROKER'], backend='rpc://')",
  'app.conf.update(task_send_sent_event=True, worker_send_task_events=True)',
  "@app.task(name='proj.add')",
  'def add(x, y):',
  '    return x + y',
  "@app.task(name='proj.fail')",
  'def fail():',
  "    raise ValueError('bad value')",
  '',
].join('\n');

function aControl(pair: AmqpPair, clock = new LogicalClock()): { mailbox: Mailbox; control: Control } {
  const mailbox = new Mailbox({ ...pair.broker, codec, clock, system: pair.system });
  return {
    mailbox,
    control: new Control({
      mailbox,
      system: pair.system,
      connection: pair.broker.connection,
      taskQueues: () => ['celery'],
    }),
  };
}

describe('a Python worker', () => {
  it('answers our questions, obeys our commands, and is seen by our receiver with its tasks', async () => {
    await using broker = await testBroker();
    await using python = await pythonProject({ 'app.py': app });
    await using worker = python.celery(['-A', 'app', 'worker', '-P', 'solo', '-n', 'py@host', '-l', 'INFO'], {
      BROKER: broker.url,
    });
    await worker.line(/py@host ready/);
    await using pair = await amqpPair(broker.url);
    const clock = new LogicalClock();
    const { mailbox, control } = aControl(pair, clock);
    const inspect = control.inspect({ destination: 'py@host', timeout: 20 });

    expect(await inspect.ping()).toEqual({ ok: 'pong' });
    expect(await control.inspect({ pattern: 'py@*', timeout: 2 }).ping()).toEqual({ 'py@host': { ok: 'pong' } });
    expect(await inspect.registered()).toEqual(['proj.add', 'proj.fail']);
    const stats = await inspect.stats();
    expect(stats !== null && !isRefusal(stats) && stats.pid).toBe(worker.pid);
    expect(await inspect.activeQueues()).toMatchObject([
      { name: 'celery', exchange: { name: 'celery', type: 'direct' } },
    ]);
    expect(await inspect.active()).toEqual([]);
    expect(await inspect.queryTask('nobody')).toEqual({});
    expect(await inspect.conf({ withDefaults: true })).toMatchObject({ task_default_queue: 'celery' });
    const theirClock = await inspect.clock();
    expect(theirClock).toEqual({ clock: expect.any(Number) });
    expect(clock.value).toBeGreaterThan((theirClock as { clock: number }).clock);
    expect(await inspect.call('no_such_command')).toEqual({ error: "KeyError('no_such_command')" });

    const telling = { reply: true, destination: ['py@host'], timeout: 20 };
    expect(await control.rateLimit('proj.add', '100/s', telling)).toEqual([
      { 'py@host': { ok: 'new rate limit set successfully' } },
    ]);
    expect(await control.rateLimit('proj.nobody', '5/m', telling)).toEqual([{ 'py@host': { error: 'unknown task' } }]);
    expect(await control.timeLimit('proj.add', { soft: 30, hard: 60 }, telling)).toEqual([
      { 'py@host': { ok: 'time limits set successfully' } },
    ]);
    expect(await control.addConsumer('extra', telling)).toEqual([{ 'py@host': { ok: 'add consumer extra' } }]);
    expect(await control.cancelConsumer('extra', telling)).toMatchObject([
      { 'py@host': { ok: expect.stringContaining('extra') } },
    ]);

    const state = new ClusterState({ system: pair.system });
    const events: ReceivedEvent[] = [];
    const receiver = await EventReceiver.open({
      connection: pair.connection,
      codec,
      clock,
      system: pair.system,
      handlers: {
        '*': (event) => {
          events.push(event);
          state.event(event);
        },
      },
      wakeWorkers: async () => void (await control.heartbeat()),
    });
    await until(() => state.workers.get('py@host')?.alive, { what: 'the Python worker to be seen' });
    await control.revoke('revoked-id', telling);
    const ids = (await python.evaluate(
      [
        'from app import app, add, fail',
        'r, f = add.delay(2, 3), fail.delay()',
        "v = add.apply_async((1, 1), task_id='revoked-id')",
        'r.get(timeout=20)',
        'print(json.dumps([r.id, f.id, v.id]))',
      ].join('\n'),
      { BROKER: broker.url },
    )) as string[];
    const final = { [ids[0] ?? '']: 'SUCCESS', [ids[1] ?? '']: 'FAILURE', 'revoked-id': 'REVOKED' };
    await until(() => Object.entries(final).every(([id, wanted]) => state.tasks.get(id)?.state === wanted), {
      what: 'all tasks to have ended',
    });
    const added = state.tasks.get(ids[0] ?? '');
    expect(added?.fields).toMatchObject({ name: 'proj.add', args: '(2, 3)', result: '5', runtime: expect.any(Number) });
    expect(added?.client).toMatch(/^gen\d+@/);
    expect(Object.keys(added?.times ?? {}).sort()).toEqual(['received', 'sent', 'started', 'succeeded']);
    expect(state.tasks.get(ids[1] ?? '')?.fields).toMatchObject({ exception: "ValueError('bad value')" });
    // A heartbeat that was asked for says 5, the others 2: which came last is a matter of time.
    const seen = state.workers.get('py@host');
    expect(seen?.swIdent).toBe('py-celery');
    expect([2, 5]).toContain(seen?.freq);
    expect(receiver.malformed).toBe(0);

    expect(await inspect.revoked()).toEqual(['revoked-id']);
    await control.shutdown({ destination: ['py@host'] });
    await until(() => !state.workers.has('py@host'), { what: 'worker-offline', withinSeconds: 20 });
    await worker.ended;
    await receiver.close();
    await mailbox.close();
  });

  it("'s queue is emptied by purge", async () => {
    await using broker = await testBroker();
    await using python = await pythonProject({ 'app.py': app });
    await python.evaluate('from app import add\n[add.delay(1, n) for n in range(5)]\nprint("null")', {
      BROKER: broker.url,
    });
    await using pair = await amqpPair(broker.url);
    const { control } = aControl(pair);
    expect(await control.purge()).toBe(5);
    expect(await control.discardAll()).toBe(0);
  });
});

describe('a Python client', () => {
  it('asks our node and gets what it expects', async () => {
    await using broker = await testBroker();
    await using python = await pythonProject({ 'app.py': app });
    await using pair = await amqpPair(broker.url);
    const seen: Record<string, unknown>[] = [];
    const note: CommandHandler = (args) => {
      seen.push({ ...args });
      return { ok: 'noted' };
    };
    const node = await ControlNode.open({
      node: 'ts@host',
      connection: pair.connection,
      publisher: pair.publisher,
      handlers: new Map<string, CommandHandler>([
        ['ping', () => ({ ok: 'pong' })],
        ['registered', () => ['tasks.add [rate_limit=10/m]']],
        ['rate_limit', note],
        ['revoke', note],
        ['heartbeat', () => undefined],
      ]),
      codec,
      clock: new LogicalClock(),
      system: pair.system,
    });
    const answers = await python.evaluate(
      [
        'from app import app',
        'i = app.control.inspect(timeout=1)',
        "one = app.control.inspect(destination=['ts@host'], timeout=10)",
        "told = dict(reply=True, timeout=10, destination=['ts@host'])",
        'print(json.dumps([i.ping(), one.registered(), one.stats(),',
        "  app.control.inspect(pattern='t*', matcher='glob', timeout=1).ping(),",
        "  app.control.inspect(pattern='x*', matcher='glob', timeout=0.5).ping(),",
        "  app.control.rate_limit('tasks.add', '10/m', **told), app.control.revoke(['a', 'b'], terminate=True, **told),",
        '  app.control.heartbeat(**told)]))',
      ].join('\n'),
      { BROKER: broker.url },
    );
    expect(answers).toEqual([
      { 'ts@host': { ok: 'pong' } },
      { 'ts@host': ['tasks.add [rate_limit=10/m]'] },
      { 'ts@host': { error: "KeyError('stats')" } },
      { 'ts@host': { ok: 'pong' } },
      null,
      [{ 'ts@host': { ok: 'noted' } }],
      [{ 'ts@host': { ok: 'noted' } }],
      [{ 'ts@host': null }],
    ]);
    expect(seen).toEqual([
      { task_name: 'tasks.add', rate_limit: '10/m' },
      { task_id: ['a', 'b'], terminate: true, signal: 'SIGTERM' },
    ]);
    await node.close();
  });

  it('follows our events with its own State', async () => {
    await using broker = await testBroker();
    await using python = await pythonProject({ 'app.py': app });
    await using pair = await amqpPair(broker.url);
    const dispatcher = new EventDispatcher({
      publisher: pair.publisher,
      codec,
      clock: new LogicalClock(),
      system: pair.system,
      hostname: 'ts@host',
      gathersTaskEvents: true,
    });
    const speaking = setInterval(() => {
      dispatcher.send('worker-heartbeat', {
        freq: 2,
        swIdent: 'ts-celery',
        swVer: '1',
        swSys: 'Linux',
        active: 1,
        processed: 9,
        loadavg: [1, 2, 3],
      });
      dispatcher.send('task-received', {
        uuid: 'a',
        name: 'tasks.add',
        args: '[1]',
        kwargs: '{}',
        rootId: 'a',
        parentId: null,
        retries: 0,
        eta: null,
        expires: null,
      });
      dispatcher.send('task-started', { uuid: 'a' });
      dispatcher.send('task-succeeded', { uuid: 'a', result: '2', runtime: 0.25 });
    }, 100);
    try {
      const seen = await python.evaluate(
        [
          'from app import app',
          'import itertools',
          'state = app.events.State()',
          'with app.connection() as connection:',
          "    receiver = app.events.Receiver(connection, handlers={'*': state.event})",
          '    for _ in range(100):',
          '        try:',
          '            receiver.capture(limit=1, timeout=5, wakeup=False)',
          '        except StopIteration:',
          '            pass',
          "        task = state.tasks.get('a')",
          "        if task and task.state == 'SUCCESS': break",
          "worker = state.workers['ts@host']",
          'print(json.dumps([task.state, task.name, task.args, task.result, task.runtime, task.root_id, worker.alive,',
          '  worker.sw_ident, worker.freq, worker.active, worker.processed, worker.loadavg, worker.pid]))',
        ].join('\n'),
        { BROKER: broker.url },
      );
      expect(seen).toEqual([
        'SUCCESS',
        'tasks.add',
        '[1]',
        '2',
        0.25,
        'a',
        true,
        'ts-celery',
        2,
        1,
        9,
        [1, 2, 3],
        process.pid,
      ]);
    } finally {
      clearInterval(speaking);
      await dispatcher.close();
    }
  });
});
