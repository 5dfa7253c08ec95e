/**
 * faults.md section 5 against a real worker process: what is too large, too deep or a bomb is refused, costs less memory
 * than twice the limit, and five ordinary tasks pass after each.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { brotliCompressSync, constants, deflateSync, gzipSync } from 'node:zlib';
import { type ConfirmChannel, connect } from 'amqplib';
import { Celery } from 'celery-ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { xzBomb } from '../support/bombs.ts';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { type TempProject, tempProject } from '../support/cli.ts';
import type { Program } from '../support/process.ts';
import { until } from '../support/until.ts';

const mebibyte = 1024 * 1024;
const maxBody = 16 * mebibyte;
const maxDecompressed = 64 * mebibyte;
const bombBytes = 300 * mebibyte;

const source = `import { Celery } from 'celery-ts';
export const app = new Celery('hostile', {
  brokerUrl: process.env.BROKER, resultBackend: 'rpc://', acceptContent: ['json', 'yaml', 'msgpack'], taskProtocol: 2,
});
app.task('add', (x: number, y: number) => x + y);
app.task('keys', (value: object) => [Object.keys(value), (({} as any).polluted ?? null), Object.getPrototypeOf(value) === Object.prototype]);
`;

interface Hostile {
  readonly body: () => Buffer;
  readonly limit: number;
  readonly headers?: Record<string, unknown>;
  readonly contentType?: string;
}

const nest = (open: string, close: string, depth: number): string => open.repeat(depth) + close.repeat(depth);
const spaces = (size: number): Buffer => Buffer.alloc(size, 0x20);
const bomb = (contentType: string, body: () => Buffer): Hostile => ({
  body,
  limit: maxDecompressed,
  headers: { compression: contentType },
});

const cases: readonly (readonly [string, Hostile])[] = [
  [
    'a body of 20 MB',
    {
      body: () => Buffer.concat([Buffer.from('[["'), Buffer.alloc(20_000_000, 0x78), Buffer.from('"],{},{}]')]),
      limit: maxBody,
    },
  ],
  ['a JSON depth of 100,000', { body: () => Buffer.from(`[${nest('[', ']', 100_000)},{},{}]`), limit: maxBody }],
  [
    'objects 100,000 deep',
    { body: () => Buffer.from(`[[${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}],{},{}]`), limit: maxBody },
  ],
  [
    'a YAML depth of 100,000',
    { body: () => Buffer.from(nest('[', ']', 100_000)), limit: maxBody, contentType: 'application/x-yaml' },
  ],
  [
    'a YAML of a billion laughs',
    {
      body: () =>
        Buffer.from(
          [
            'a: &a [lol]',
            ...'bcdefghij'.split('').map((key, at) => `${key}: &${key} [${`*${'abcdefghij'[at]},`.repeat(10)}]`),
          ].join('\n'),
        ),
      limit: maxBody,
      contentType: 'application/x-yaml',
    },
  ],
  [
    'a msgpack depth of 100,000',
    { body: () => Buffer.alloc(100_000, 0x91), limit: maxBody, contentType: 'application/x-msgpack' },
  ],
  [
    'a msgpack that promises four billion items',
    {
      body: () => Buffer.from([0x93, 0xdd, 0xff, 0xff, 0xff, 0xff, 0x80, 0x80]),
      limit: maxBody,
      contentType: 'application/x-msgpack',
    },
  ],
  ['a bomb of zlib', bomb('application/x-gzip', () => deflateSync(spaces(bombBytes)))],
  ['a bomb of gzip', bomb('application/x-gzip', () => gzipSync(spaces(bombBytes)))],
  [
    'a bomb of brotli',
    bomb('application/x-brotli', () =>
      brotliCompressSync(spaces(bombBytes), { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
    ),
  ],
  ['a bomb of bzip2', bomb('application/x-bz2', () => Buffer.concat(Array(30).fill(packed('bzip2', 10 * mebibyte))))],
  ['a bomb of xz', bomb('application/x-lzma', xzBomb)],
  ['a bomb of zstd', bomb('application/zstd', () => Buffer.concat(Array(30).fill(packed('zstd', 10 * mebibyte))))],
  ['a number of a million digits', { body: () => Buffer.from(`[[${'9'.repeat(1_000_000)}],{},{}]`), limit: maxBody }],
];

const compressor = new Celery('compressor');

function packed(compression: string, size: number): Uint8Array {
  return compressor.codec.compress(spaces(size), compression).body;
}

describe('a worker process', () => {
  let broker: TestBroker;
  let project: TempProject;
  let worker: Program;
  let app: Celery;
  let channel: ConfirmChannel;
  let close: () => Promise<void>;

  beforeAll(async () => {
    await compressor.codec.prepareToReceive();
    broker = await testBroker();
    project = await tempProject({ 'tasks.ts': source });
    worker = project.start(['worker', '-A', 'tasks', '-c', '1', '-l', 'INFO'], { BROKER: broker.url });
    app = new Celery('client', { brokerUrl: broker.url, resultBackend: 'rpc://' });
    const connection = await connect(broker.url);
    channel = await connection.createConfirmChannel();
    close = () => connection.close();
    await worker.line(/ready\./, 30);
    await fiveTasks();
  });

  afterAll(async () => {
    const { code } = await worker.stop();
    await close();
    await app.close();
    await project.close();
    await broker.close();
    expect(code).toBe(0);
  });

  const fiveTasks = async (): Promise<void> => {
    const sent = await Promise.all([1, 2, 3, 4, 5].map((x) => app.sendTask('add', [x, x])));
    expect(await Promise.all(sent.map((result) => result.get({ timeout: 20 })))).toEqual([2, 4, 6, 8, 10]);
  };

  let count = 0;
  const send = async ({ body, contentType = 'application/json', headers = {} }: Hostile): Promise<string> => {
    count += 1;
    const id = `hostile-${count}`;
    channel.publish('', 'celery', body(), {
      contentType,
      contentEncoding: contentType.endsWith('msgpack') ? 'binary' : 'utf-8',
      correlationId: id,
      headers: { task: 'add', id, ...headers },
    });
    await channel.waitForConfirms();
    return id;
  };

  it.skipIf(process.platform !== 'linux').each(cases)('refuses %s within the limits', async (_, hostile) => {
    const processes = [worker.pid, ...childrenOf(worker.pid)];
    const before = processes.map((pid) => memory(pid, 'VmRSS'));
    for (const pid of processes) writeFileSync(`/proc/${pid}/clear_refs`, '5'); // the peak begins anew
    const id = await send(hostile);
    await worker.line(new RegExp(`"level":50.*${id}`), 20);
    await until(async () => (await broker.depth('celery')) === 0, { what: 'the message to be gone' });
    const growth = processes.map((pid, at) => memory(pid, 'VmHWM') - (before[at] ?? 0));
    expect(Math.max(...growth)).toBeLessThan(2 * hostile.limit);
    await fiveTasks();
    expect([worker.pid, ...childrenOf(worker.pid)]).toEqual(processes); // the same child, too
  });

  it('reads __proto__ as a key like any other', async () => {
    const body = '[[{"__proto__": {"polluted": true}, "constructor": 1, "x": 2}], {}, {}]';
    const sent = await app.sendTask('keys', [{ x: 1 }]);
    expect(await sent.get({ timeout: 20 })).toEqual([['x'], null, true]);
    const reply = await channel.assertQueue('', { exclusive: true });
    const answer = new Promise<Buffer>((resolve) => {
      void channel.consume(reply.queue, (message) => message !== null && resolve(message.content), { noAck: true });
    });
    channel.publish('', 'celery', Buffer.from(body), {
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      replyTo: reply.queue,
      correlationId: 'proto',
      headers: { task: 'keys', id: 'proto' },
    });
    expect(JSON.parse(String(await answer)).result).toEqual([['__proto__', 'constructor', 'x'], null, true]);
    await fiveTasks();
  });
});

function childrenOf(pid: number): number[] {
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      const status = readFileSync(`/proc/${entry}/status`, 'utf8');
      return Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]) === pid ? [Number(entry)] : [];
    } catch {
      return [];
    }
  });
}

/** In bytes. */
function memory(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(found?.[1]) * 1024;
}
