/**
 * Remote control and events with every field absent, null, a number, a text, a list, a map, huge: a real worker process, a
 * monitor and a dump go on as if nothing had come.
 */
import { type Channel, type ChannelModel, connect } from 'amqplib';
import { Celery } from 'celery-ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { draw, roomFor } from '../../src/cli/screen/draw.ts';
import { firstView, press, type View } from '../../src/cli/screen/view.ts';
import { plainStyle } from '../../src/cli/style.ts';
import { type ControlCommand, commands } from '../../src/control/index.ts';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { type TempProject, tempProject } from '../support/cli.ts';
import type { Program } from '../support/process.ts';
import { until } from '../support/until.ts';

const absent = Symbol('absent');
const huge = 'x'.repeat(200_000);
const values: readonly (readonly [string, unknown])[] = [
  ['absent', absent],
  ['null', null],
  ['a number', 7],
  ['a negative number', -1],
  ['a fraction', 0.5],
  ['a huge number', 1e308],
  ['a flag', true],
  ['a text', 'text'],
  ['an empty text', ''],
  ['a list', ['a', 7, null, {}]],
  ['an empty list', []],
  ['a map', { a: 7, __proto__x: null }],
  ['an empty map', {}],
  ['a huge text', huge],
  ['a huge list', Array.from({ length: 20_000 }, (_, n) => `item ${n}`)],
  ['a deep list', JSON.parse(`${'['.repeat(300)}${']'.repeat(300)}`)],
];

const source = `import { Celery } from 'celery-ts';
export const app = new Celery('hostile', { brokerUrl: process.env.BROKER, resultBackend: 'rpc://' });
app.task('add', (x: number, y: number) => x + y);
`;

let broker: TestBroker;
let project: TempProject;
let worker: Program;
let dump: Program;
let app: Celery;
let client: ChannelModel;
let channel: Channel;

beforeAll(async () => {
  broker = await testBroker();
  project = await tempProject({ 'tasks.ts': source });
  const env = { BROKER: broker.url };
  worker = project.start(['worker', '-A', 'tasks', '-n', 'w1@host', '-c', '1', '-E', '--autoscale', '2,1'], env);
  dump = project.start(['events', '--dump', '-b', broker.url]);
  app = new Celery('hostile', { brokerUrl: broker.url, resultBackend: 'rpc://' });
  client = await connect(broker.url);
  channel = await client.createChannel();
  await worker.line(/ready/, 30);
  await dump.line(/w1@host .*heartbeat/);
});

afterAll(async () => {
  await client?.close();
  await app?.close();
  await dump?.[Symbol.asyncDispose]();
  await worker?.[Symbol.asyncDispose]();
  await project?.close();
  await broker?.close();
});

/** The map with one field changed. */
function changed(map: Readonly<Record<string, unknown>>, field: string, value: unknown): Record<string, unknown> {
  const { [field]: _old, ...rest } = map;
  return value === absent ? rest : { ...rest, [field]: value };
}

function request(body: unknown, headers: Record<string, unknown> = { clock: 1, expires: 0 }): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  channel.publish('celery.pidbox', '', Buffer.from(text), {
    headers,
    contentType: 'application/json',
    contentEncoding: 'utf-8',
  });
}

const replyTo = { exchange: 'reply.celery.pidbox', routing_key: 'nobody' };

/** Broker and worker have taken all that was sent: the worker answers, runs a task, and never lost its connection. */
async function isWell(): Promise<void> {
  const inspect = app.control.inspect({ destination: 'w1@host', timeout: 20 });
  expect(await inspect.ping()).toEqual({ ok: 'pong' });
  expect(await (await app.sendTask('add', [2, 3])).get({ timeout: 20 })).toBe(5);
  const stats = await inspect.stats();
  expect(stats).toMatchObject({ amqp: { reconnects: 0 }, pid: worker.pid });
}

describe('a worker', () => {
  it.each(
    Object.entries<ControlCommand>(commands)
      .filter(([name]) => name !== 'shutdown')
      .map(([name, { args, alias }]) => ({ name, alias, args: args.map((argument) => argument.name) })),
  )('goes on whatever the arguments of $name are', async ({ alias, args, name }) => {
    const plausible: Record<string, unknown> = {
      ids: ['a'],
      from_node: 'other@host',
      task_id: 'a',
      task_name: 'add',
      headers: { tenant: 'a' },
      id: `id of ${name}`,
      topic: 'lunch',
      queue: `queue of ${name}`,
      signal: 'SIGTERM',
      n: 1,
      samples: 1,
      soft: 30,
      hard: 60,
    };
    const whole = Object.fromEntries(args.map((argument) => [argument, plausible[argument] ?? null]));
    for (const argument of [...args, 'bogus', '__proto__']) {
      for (const [, value] of values) {
        const body = { method: name, arguments: changed(whole, argument, value), ticket: 't', reply_to: replyTo };
        request({ ...body, method: alias ?? name });
      }
    }
    for (const [, value] of values) request({ method: name, arguments: value, ticket: 't', reply_to: replyTo });
    await isWell();
  });

  it('stops for no message that only names shutdown badly', async () => {
    for (const [what, value] of values) {
      if (/absent|null|text/.test(what)) continue; // these are how shutdown is asked for
      request({ method: 'shutdown', arguments: { msg: value } });
      request({ method: 'shutdown', arguments: what === 'a map' || what === 'an empty map' ? 7 : value });
      request({ method: 'shutdown', arguments: {}, destination: value === 7 ? 8 : ['other@host', value] });
    }
    await isWell();
  });

  const control = {
    method: 'ping',
    arguments: {},
    destination: null,
    pattern: null,
    matcher: null,
    ticket: 't',
    reply_to: replyTo,
  };
  it.each(Object.keys(control))("goes on whatever the field '%s' of a request is", async (field) => {
    for (const [, value] of values) request(changed(control, field, value));
    for (const part of ['exchange', 'routing_key']) {
      for (const [, value] of values) request({ ...control, reply_to: changed(replyTo, part, value) });
    }
    await isWell();
  });

  it('goes on whatever the headers, the content type and the bytes of a request are', async () => {
    for (const [, value] of values) {
      if (value === huge || Array.isArray(value)) continue; // tables of AMQP have 64 KiB; lists are checked below
      for (const name of ['clock', 'expires']) request(control, changed({ clock: 1, expires: 0 }, name, value));
    }
    request(control, { clock: [1, 2], expires: ['a'], nested: { deep: { deeper: [1] } } });
    for (const text of [
      '',
      '{',
      'null',
      '[]',
      '7',
      '"ping"',
      '\u0000',
      `${'['.repeat(50_000)}`,
      '{"method":"ping"',
      'NaN',
    ])
      request(text);
    for (const [contentType, contentEncoding] of [
      ['application/x-python-serialize', 'binary'],
      ['application/json', 'utf-7'],
      ['text/plain', 'utf-8'],
    ] as const) {
      channel.publish('celery.pidbox', '', Buffer.from(JSON.stringify(control)), { contentType, contentEncoding });
    }
    channel.publish('celery.pidbox', '', Buffer.from(JSON.stringify(control)));
    channel.publish('celery.pidbox', 'some.key', Buffer.alloc(2_000_000, 0x20), { contentType: 'application/json' });
    await isWell();
  });

  it('is no bigger for it, and said what was wrong', () => {
    expect(worker.isRunning).toBe(true);
    expect(worker.stderr).toContain('A control message cannot be read');
    expect(worker.stderr).not.toContain('bug of celery-ts');
  });
});

const event = {
  type: 'worker-heartbeat',
  hostname: 'evil@host',
  timestamp: Date.now() / 1000,
  local_received: 1,
  pid: 7,
  clock: 5,
  utcoffset: 0,
};
const events: Readonly<Record<string, Record<string, unknown>>> = {
  'worker-online': { freq: 2, sw_ident: 'x', sw_ver: '1', sw_sys: 'y', active: 1, processed: 2, loadavg: [1, 2, 3] },
  'worker-heartbeat': { freq: 2, active: 1, processed: 2, loadavg: [1, 2, 3], sw_ident: 'x', sw_ver: '1', sw_sys: 'y' },
  'worker-offline': {},
  'worker-elect': { id: 'x', topic: 'task', action: { task: 'add', args: [1, 2], kwargs: {}, options: {} }, cver: 1 },
  'worker-elect-ack': { id: 'x' },
  'task-sent': {
    uuid: 'a',
    name: 'add',
    args: '()',
    kwargs: '{}',
    queue: 'q',
    exchange: '',
    routing_key: 'q',
    root_id: 'a',
    parent_id: null,
  },
  'task-received': {
    uuid: 'a',
    name: 'add',
    args: '()',
    kwargs: '{}',
    root_id: 'a',
    parent_id: 'b',
    retries: 0,
    eta: null,
    expires: null,
  },
  'task-started': { uuid: 'a' },
  'task-succeeded': { uuid: 'a', result: '5', runtime: 0.5 },
  'task-failed': { uuid: 'a', exception: 'E()', traceback: 'T' },
  'task-retried': { uuid: 'a', exception: 'E()', traceback: 'T' },
  'task-revoked': { uuid: 'a', terminated: true, signum: 9, expired: false },
  'task-rejected': { uuid: 'a', requeue: true },
  'custom-thing': { uuid: 'a', anything: 1 },
};

describe('who listens to events', () => {
  it('goes on whatever any field of any event is: worker, monitor and dump', async () => {
    const state = app.events.state();
    const receiver = await app.events.receiver({ handlers: { '*': (received) => state.event(received) } });
    const send = (body: unknown, key: string, headers: Record<string, unknown> = { hostname: 'evil@host' }): void =>
      void channel.publish('celeryev', key, Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)), {
        headers,
        contentType: 'application/json',
        contentEncoding: 'utf-8',
      });
    for (const [type, fields] of Object.entries(events)) {
      const whole = { ...event, ...fields, type };
      const key = type.replaceAll('-', '.');
      for (const field of [...Object.keys(whole), 'bogus', '__proto__', 'constructor']) {
        for (const [, value] of values) send(changed(whole, field, value), key);
      }
      send([whole, null, 7, [], 'x', { ...whole, type: 7 }, {}], `${type.split('-')[0]}.multi`);
      send(whole, key, {});
      await until(() => dump.isRunning && worker.isRunning, { what: 'nobody to fall' });
    }
    for (const text of ['', '{', 'null', '[]', '[[[]]]', '7', '"x"', '\u0000', '['.repeat(50_000)]) {
      for (const key of ['worker.heartbeat', 'task.multi', 'worker.elect', 'x']) send(text, key);
    }
    const last = { ...event, type: 'task-received', uuid: 'the last one', name: 'last', args: '()', kwargs: '{}' };
    send(last, 'task.received');
    await until(() => state.tasks.has('the last one'), { what: 'the last event', withinSeconds: 20 });
    await dump.line(/last\(the last one\)/, 20);
    await receiver.close();
    await isWell();

    // What came of it can be drawn, whatever key is pressed
    const frame = { columns: 100, rows: 30, title: 't', utcOffsetMinutes: 0, style: plainStyle };
    let view: View = firstView;
    for (const name of [
      'i',
      'q',
      'r',
      'q',
      't',
      'q',
      'down',
      'c',
      'n',
      'l',
      'escape',
      'end',
      'i',
      'q',
      'r',
      'q',
      'h',
    ]) {
      view = press(view, { name, sequence: name }, state, roomFor(state, view, frame)).view;
      expect(draw(state, view, frame)).toHaveLength(30);
    }
    expect(JSON.stringify([...state.tasks.values(), ...state.workers.values()]).length).toBeGreaterThan(0);
    expect(dump.stderr).not.toMatch(/bug of celery-ts|TypeError/);
  });
});
