/** `celery inspect`, `celery status` and `celery events --dump`, the stock tools, on a celery-ts worker. */
import { Celery } from 'celery-ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { until } from '../support/until.ts';
import { type StockWorld, stockWorld } from './stock.ts';

let broker: TestBroker;
let world: StockWorld;
let app: Celery;
/** What our worker answered to each command, given the words after its name; all asked by one process. */
let told: ReadonlyMap<string, unknown>;
const ids = { active: '', reserved: '', scheduled: '', revoked: 'never-seen', done: '' };

beforeAll(async () => {
  broker = await testBroker();
  world = await stockWorld(broker.url, 'ts1@host', ['-c', '1', '-E']);
  app = new Celery('proj', { brokerUrl: broker.url, resultBackend: 'rpc://', taskDelayedDelivery: 'worker' });
  const done = await app.sendTask('proj.add', [1, 1]);
  ids.done = done.id;
  await done.get({ timeout: 20 });
  ids.active = (await app.sendTask('proj.slow', [600], { headers: { tenant: 'a' } })).id;
  const inspect = app.control.inspect({ destination: 'ts1@host', timeout: 10 });
  await until(async () => JSON.stringify(await inspect.active()).includes(ids.active), {
    what: 'the slow task to run',
  });
  ids.reserved = (await app.sendTask('proj.add', [2, 3], { kwargs: {} })).id;
  ids.scheduled = (await app.sendTask('proj.add', [4, 5], { countdown: 600, priority: 3 })).id;
  await app.control.revoke(ids.revoked);
  await until(async () => JSON.stringify(await inspect.scheduled()).includes(ids.scheduled), {
    what: 'the scheduled task',
  });
  const commands = [
    ...['active', 'reserved', 'scheduled', 'revoked', 'registered', 'registered rate_limit max_retries', 'stats'],
    ...['conf', 'conf true', 'clock', 'active_queues', 'report', 'memsample', 'memdump 5', 'objgraph'],
    `query_task ${ids.active} ${ids.reserved} ${ids.scheduled} nobody`,
  ];
  const answers = await world.answers('inspect', ...commands);
  told = new Map(commands.map((command, at) => [command.replace(/(?<=query_task) .*/, ''), answers[at]]));
});

afterAll(async () => {
  await app?.close();
  await world?.[Symbol.asyncDispose]();
  await broker?.close();
});

describe('the stock tools on a celery-ts worker:', () => {
  it('celery inspect ping and celery status find it', async () => {
    const [ping, status] = await Promise.all([world.celery('inspect', 'ping'), world.celery('status')]);
    expect(ping).toEqual({ code: 0, text: '->  ts1@host: OK\n        pong\n\n1 node online.\n' });
    expect(status).toEqual({ code: 0, text: '->  ts1@host: OK\n\n1 node online.\n' });
  });

  it('celery inspect active, reserved, scheduled and revoked show where tasks are', () => {
    const [active, reserved] = [told.get('active'), told.get('reserved')];
    expect(active).toEqual([
      {
        id: ids.active,
        name: 'proj.slow',
        type: 'proj.slow',
        args: [600],
        kwargs: {},
        hostname: 'ts1@host',
        time_start: expect.any(Number),
        acknowledged: false,
        delivery_info: { exchange: '', routing_key: 'celery', priority: null, redelivered: false },
        worker_pid: expect.any(Number),
      },
    ]);
    const [{ time_start }] = active as [{ time_start: number }];
    expect(Math.abs(Date.now() / 1000 - time_start)).toBeLessThan(60);
    expect(reserved).toMatchObject([
      { id: ids.reserved, name: 'proj.add', args: [2, 3], time_start: null, worker_pid: null },
    ]);
    expect(told.get('scheduled')).toMatchObject([
      {
        eta: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/),
        priority: 6,
        request: { id: ids.scheduled, args: [4, 5], delivery_info: { priority: 3 } },
      },
    ]);
    expect(told.get('revoked')).toEqual(['never-seen']);
  });

  it('celery inspect registered lists its tasks with the attributes asked for', () => {
    const some = told.get('registered rate_limit max_retries');
    expect(told.get('registered')).toEqual(['proj.add', 'proj.fail', 'proj.limited [rate_limit=10/m]', 'proj.slow']);
    expect(some).toContain('proj.limited [rate_limit=10/m max_retries=3]');
    expect(some).toContain('proj.add [max_retries=3]');
  });

  it('celery inspect stats has the fields that monitors read', () => {
    const stats = told.get('stats');
    expect(stats).toMatchObject({
      total: { 'proj.add': 1, 'proj.slow': 1 },
      pid: world.worker.pid,
      clock: expect.stringMatching(/^\d+$/),
      uptime: expect.any(Number),
      prefetch_count: expect.any(Number),
      pool: {
        implementation: 'celery-ts:prefork',
        'max-concurrency': 1,
        processes: [expect.any(Number)],
        'max-tasks-per-child': 'N/A',
        'put-guarded-by-semaphore': false,
        timeouts: [0, 0],
        writes: {
          total: 2,
          avg: expect.any(String),
          all: expect.any(String),
          raw: expect.any(String),
          strategy: 'fair',
        },
      },
      broker: {
        hostname: '127.0.0.1',
        userid: 'guest',
        virtual_host: broker.vhost,
        port: expect.any(Number),
        insist: false,
        ssl: false,
        transport: 'amqp',
        connect_timeout: 4,
        transport_options: {},
        login_method: 'PLAIN',
        uri_prefix: null,
        heartbeat: 30,
        failover_strategy: 'round-robin',
        alternates: [],
      },
    });
    expect(JSON.stringify(stats)).not.toContain('"password"');
    const { rusage } = stats as { rusage: Record<string, unknown> };
    const names = ['utime', 'stime', 'maxrss', 'ixrss', 'idrss', 'isrss', 'minflt', 'majflt', 'nswap', 'inblock'];
    expect(Object.keys(rusage)).toEqual(
      expect.arrayContaining([...names, 'oublock', 'msgsnd', 'msgrcv', 'nsignals', 'nvcsw', 'nivcsw']),
    );
  });

  it('celery inspect conf shows settings without secrets, all of them when asked', () => {
    const [changed, all] = [told.get('conf'), told.get('conf true')];
    expect(changed).toMatchObject({ result_backend: 'rpc://', worker_send_task_events: true, worker_concurrency: 1 });
    expect(changed).not.toHaveProperty('task_acks_late');
    expect((changed as { broker_url: string }).broker_url).toMatch(/^amqp:\/\/guest:\*{8}@/);
    expect(all).toMatchObject({ task_default_queue: 'celery', task_acks_late: true });
    expect(JSON.stringify([changed, all])).not.toContain('guest:guest');
  });

  it('celery inspect clock, active_queues, report, memsample and memdump answer', () => {
    const report = told.get('report');
    expect(told.get('clock')).toEqual({ clock: expect.any(Number) });
    expect(told.get('active_queues')).toEqual([
      expect.objectContaining({
        name: 'celery',
        exchange: expect.objectContaining({ name: 'celery', type: 'direct', durable: true, auto_delete: false }),
        routing_key: 'celery',
        durable: true,
        exclusive: false,
        auto_delete: false,
        no_ack: false,
        alias: null,
        queue_arguments: null,
        max_priority: null,
      }),
    ]);
    expect(report).toEqual({ ok: expect.stringMatching(/software -> celery-ts:[\s\S]*transport:amqp/) });
    expect(JSON.stringify(report)).not.toContain('guest:guest');
    expect(told.get('memsample')).toMatch(/^\d+\.\d+MB$/);
    expect(told.get('memdump 5')).toMatch(/MB/);
  });

  it('celery inspect query_task finds tasks by id', () => {
    expect(told.get('query_task')).toEqual({
      [ids.active]: ['active', expect.objectContaining({ id: ids.active, name: 'proj.slow' })],
      [ids.reserved]: ['reserved', expect.objectContaining({ id: ids.reserved })],
    });
  });

  it('celery inspect objgraph is told where to look instead', () => {
    expect(told.get('objgraph')).toEqual({ error: expect.stringContaining('heap snapshots') });
  });

  it('celery events --dump prints its events', async () => {
    await using dump = world.python.celery(['-A', 'proj', 'events', '--dump'], world.env);
    await dump.line(/ts1@host .* heartbeat: .*sw_ident=ts-celery/, 30);
    const result = await app.sendTask('proj.limited', [], { kwargs: { x: 1 } });
    await dump.line(
      new RegExp(`ts1@host .* task received: proj.limited\\(${result.id}\\) args=\\(\\) kwargs={'x': 1}`),
    );
    const heartbeat = await dump.line(/heartbeat: active=1, clock=\d+, freq=2, loadavg=\[/);
    expect(heartbeat).toMatch(/processed=2, sw_ident=ts-celery, sw_sys=Linux, sw_ver=\d/);
  });
});
