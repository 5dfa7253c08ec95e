/** Messages that are no tasks, or broken ones: each is gone from the queue afterwards, and the worker goes on. */
import { type ConfirmChannel, connect } from 'amqplib';
import { Celery } from 'celery-ts';
import { startWorker, type TestWorker } from 'celery-ts/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { testLogger } from '../support/logger.ts';
import { until } from '../support/until.ts';

interface Malformed {
  readonly title: string;
  readonly body: Buffer;
  readonly headers?: Record<string, unknown>;
  readonly properties?: Record<string, unknown>;
}

const huge = 'x'.repeat(40_000);
const values: [name: string, value: unknown][] = [
  ['absent', undefined],
  ['null', null],
  ['a number', 42],
  ['a string', 'nonsense'],
  ['a list', [1, 'two']],
  ['an object', { a: 1 }],
  ['huge', huge],
];
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const embed = { callbacks: null, errbacks: null, chain: null, chord: null };
const goodHeaders = (): Record<string, unknown> => ({ task: 'tasks.add', id: 'm-1', retries: 0 });
const goodBody = json([[1, 1], {}, embed]);

/** Every header × every value; what is fine (an absent eta) is a task like any other. */
const headerCases: Malformed[] = ['id', 'task', 'retries', 'eta', 'expires', 'timelimit'].flatMap((field) =>
  values.map(([name, value]) => {
    const headers = goodHeaders();
    if (value === undefined) delete headers[field];
    else headers[field] = value;
    return { title: `header ${field} is ${name}`, body: goodBody, headers };
  }),
);

const bodyCases: Malformed[] = ['args', 'kwargs', 'embed'].flatMap((field, index) =>
  values.map(([name, value]) => {
    const body: unknown[] = [[1, 1], {}, embed];
    if (value === undefined) body.splice(index);
    else body[index] = value;
    return { title: `${field} is ${name}`, body: json(body), headers: goodHeaders() };
  }),
);

const embedCases: Malformed[] = ['callbacks', 'errbacks', 'chain', 'chord'].flatMap((field) =>
  values.slice(2).map(([name, value]) => ({
    title: `embed.${field} is ${name}`,
    body: json([[1, 1], {}, { ...embed, [field]: value }]),
    headers: goodHeaders(),
  })),
);

const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
const otherCases: Malformed[] = [
  { title: 'random bytes', body: Buffer.from([0, 255, 1, 254, 128, 7]) },
  { title: 'an empty body and no headers', body: Buffer.alloc(0) },
  { title: 'no JSON', body: Buffer.from('{"args": ['), headers: goodHeaders() },
  { title: 'bytes that are no UTF-8', body: Buffer.from([0x5b, 0xff, 0xfe, 0x5d]), headers: goodHeaders() },
  { title: 'an unknown charset', body: goodBody, headers: goodHeaders(), properties: { contentEncoding: 'klingon' } },
  {
    title: 'pickle',
    body: Buffer.from('\x80\x04K\x01.'),
    headers: goodHeaders(),
    properties: { contentType: 'application/x-python-serialize', contentEncoding: 'binary' },
  },
  {
    title: 'an unknown content type',
    body: goodBody,
    headers: goodHeaders(),
    properties: { contentType: 'text/rot13' },
  },
  {
    title: 'a compression that is none',
    body: goodBody,
    headers: { ...goodHeaders(), compression: 'application/x-nothing' },
  },
  {
    title: 'compressed bytes that are none',
    body: goodBody,
    headers: { ...goodHeaders(), compression: 'application/x-gzip' },
  },
  { title: 'a depth of 100,000', body: Buffer.from(`[${deep}, {}, {}]`), headers: goodHeaders() },
  {
    title: 'a __proto__ key',
    body: Buffer.from('[[], {"__proto__": {"polluted": true}}, {}]'),
    headers: { ...goodHeaders(), task: 'tasks.kwargs' },
  },
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty'].map((task) => ({
    title: `the task ${task}`,
    body: goodBody,
    headers: { ...goodHeaders(), task },
  })),
  { title: "another framework's job", body: json({ name: 'resize', data: { id: 7 }, opts: { attempts: 3 } }) },
  { title: 'an eta in the year 9999', body: goodBody, headers: { ...goodHeaders(), eta: '9999-12-31T23:59:59' } },
  { title: 'a protocol 1 message without a task', body: json({ id: 'x', args: [] }) },
];

describe('a malformed message', () => {
  let broker: TestBroker;
  let app: Celery;
  let worker: TestWorker;
  let channel: ConfirmChannel;
  let close: () => Promise<void>;

  beforeAll(async () => {
    broker = await testBroker();
    app = new Celery('malformed', { brokerUrl: broker.url, resultBackend: 'rpc://' });
    app.task('tasks.add', (x: number, y: number) => x + y);
    app.task('tasks.kwargs', (kwargs: unknown) => typeof kwargs);
    worker = await startWorker(app);
    const connection = await connect(broker.url);
    channel = await connection.createConfirmChannel();
    close = () => connection.close();
  });

  afterAll(async () => {
    await close();
    await worker.close();
    await app.close();
    await broker.close();
  });

  const cases = [...headerCases, ...bodyCases, ...embedCases, ...otherCases];

  it('comes in at least 63 kinds', () => {
    expect(cases.length).toBeGreaterThanOrEqual(63);
  });

  it.each(cases)('$title: it is gone, and five tasks pass', async ({ body, headers = {}, properties = {} }) => {
    channel.publish('', 'celery', body, {
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      ...properties,
      headers,
    });
    await channel.waitForConfirms();
    const sums = await Promise.all([1, 2, 3, 4, 5].map((x) => app.sendTask('tasks.add', [x, 1])));
    expect(await Promise.all(sums.map((sum) => sum.get({ timeout: 10 })))).toEqual([2, 3, 4, 5, 6]);
    await until(async () => (await broker.depth('celery')) === 0, { what: 'the queue to be empty' });
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('of a task that nobody knows is told with its size and its first bytes, escaped', async () => {
    const { find, log } = testLogger();
    await using told = new Celery('told', { brokerUrl: broker.url, taskDefaultQueue: 'told' });
    told.useSystem({ ...told.system, log });
    await using _worker = await startWorker(told);
    const body = Buffer.from(`[["line\n"], {}, {}]${' '.repeat(300)}`);
    channel.publish('', 'told', body, {
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      headers: { ...goodHeaders(), task: 'nobody.knows' },
    });
    await until(() => find('not registered here').length > 0, { what: 'the line' });
    const head = JSON.stringify(body.toString().slice(0, 200)).slice(1, -1);
    expect(find('not registered here')).toMatchObject([{ task: 'nobody.knows', sizeBytes: body.length, head }]);
  });
});
