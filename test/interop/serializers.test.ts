/**
 * Every form a message can have, between workers and clients of both languages: serializers, compressions, both
 * protocols, typed values. Each value comes back equal, and an instance of the same type where the form has types.
 */
import { Celery, dateValue, decimalValue, timeValue, uuidValue } from 'celery-ts';
import { describe, expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { pythonProject } from '../support/python.ts';

const accepted = ['json', 'yaml', 'msgpack'];
const serializers = ['json', 'yaml', 'msgpack'] as const;
const compressions = ['none', 'zlib', 'gzip', 'bzip2', 'brotli', 'lzma', 'xz', 'zstd'] as const;
const combinations = compressions.flatMap((compression) => [
  { compression, protocol: 2 },
  { compression, protocol: 1 },
]);

/** kombu knows zstd only on newer Pythons; the frames are the same. */
const knowsZstd = `
import zstandard
from kombu import compression as _compression
if 'zstd' not in _compression._aliases:
    _compression.register(zstandard.compress, lambda b: zstandard.ZstdDecompressor().decompressobj().decompress(b),
                          'application/zstd', aliases=['zstd', 'zstandard'])
`;

/** Values by serializer, with the types Python gives them. */
const pythonValues = `
import datetime as dt, decimal, uuid
nested = {'list': [1, -2.5, None, True, 'ü 漢字 🎉', ''], 'map': {'ключ': [[]], 'empty': {}}, 'long': 'x' * 5000}
utc = dt.timezone.utc
values = {
    'json': {
        'nested': nested, 'big': 2**70, 'negative': -2**40, 'tiny': 1e-9,
        'aware': dt.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=utc),
        'bytes': 'bytes ü'.encode(), 'binary': bytes(range(256)),
        'deep': [{'when': [dt.datetime(1999, 12, 31, 23, 59, 59, tzinfo=utc)], 'raw': b'x'}],
    },
    'yaml': {
        'nested': nested, 'big': 2**70, 'aware': dt.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=utc),
        'binary': bytes(range(256)), 'odd': ['yes', 'null', '1', '1.0', '2026-01-01', '~', ' x ', 'a: b', '#'],
    },
    'msgpack': {'nested': nested, 'big': 2**63 - 1, 'negative': -2**40, 'binary': bytes(range(256))},
}
# Values that a celery-ts body reads as text or as a Date without its kind: it says which type it sends.
typed = {'decimal': decimal.Decimal('1.10'), 'uuid': uuid.UUID(int=7), 'date': dt.date(2026, 1, 2), 'time': dt.time(4, 5, 6)}
`;

describe.each(serializers)('%s', (serializer) => {
  it('takes values from Python to a celery-ts worker and back, in every compression and both protocols', async () => {
    await using broker = await testBroker();
    await using project = await tempProject({
      'tasks.ts': `import { Celery, dateValue, decimalValue, timeValue, uuidValue } from 'celery-ts';
export const app = new Celery('tasks', {
  brokerUrl: process.env.BROKER, resultBackend: 'rpc://', acceptContent: ${JSON.stringify(accepted)},
  resultSerializer: '${serializer}', taskSerializer: '${serializer}',
});
app.task('tasks.echo', (value: unknown) => value);
app.task('tasks.kinds', (value: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(value).map(([key, one]) => [key, Object.prototype.toString.call(one)])));
app.task('tasks.typed', (decimal: string, uuid: string, date: Date, time: string) => ({
  decimal: decimalValue(decimal), uuid: uuidValue(uuid), date: dateValue(date), time: timeValue(time),
}));
`,
    });
    await using worker = project.start(['worker', '-A', 'tasks', '-c', '1'], { BROKER: broker.url });
    await worker.line(/ready\./, 30);
    await using python = await pythonProject({ 'forms.py': knowsZstd + pythonValues });
    const answers = await python.evaluate(
      `
import os
from celery import Celery
from forms import values, typed
serializer = os.environ['SERIALIZER']
given = values[serializer]
out = {'differ': [], 'done': 0}
def same(a, b):
    if type(a) is not type(b): return False
    if isinstance(a, dict): return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list): return len(a) == len(b) and all(map(same, a, b))
    return a == b
for form in json.loads(os.environ['FORMS']):
    app = Celery('client', broker=os.environ['BROKER'], backend='rpc://')
    app.conf.update(accept_content=['json', 'yaml', 'msgpack'], task_protocol=form['protocol'], task_serializer=serializer)
    compression = None if form['compression'] == 'none' else form['compression']
    back = app.send_task('tasks.echo', (given,), compression=compression).get(timeout=20)
    if not same(back, given):
        out['differ'].append([form, {k: [repr(given[k]), repr(back.get(k))] for k in given if not same(given[k], back.get(k))}])
    if serializer == 'json':
        kinds = app.send_task('tasks.typed', tuple(typed.values()), compression=compression).get(timeout=20)
        if not same(kinds, typed): out['differ'].append([form, repr(kinds)])
    out['done'] += 1
    app.close()
print(json.dumps(out))
`,
      { BROKER: broker.url, SERIALIZER: serializer, FORMS: JSON.stringify(combinations) },
    );
    expect(answers).toEqual({ differ: [], done: combinations.length });
  });

  it('takes values from celery-ts to a Python worker and back, in every compression and both protocols', async () => {
    await using broker = await testBroker();
    await using python = await pythonProject({
      'forms.py': knowsZstd + pythonValues,
      'proj.py': `
import os, forms
from celery import Celery
app = Celery('proj', broker=os.environ['BROKER'], backend='rpc://')
app.conf.update(accept_content=['json', 'yaml', 'msgpack'], result_serializer='${serializer}')

@app.task(name='tasks.echo')
def echo(value):
    return value

@app.task(name='tasks.equals')
def equals(name, value):
    return forms.typed[name] == value and type(forms.typed[name]) is type(value)
`,
    });
    await using worker = python.celery(['-A', 'proj', 'worker', '-c', '1', '-P', 'solo', '-l', 'INFO'], {
      BROKER: broker.url,
    });
    await worker.line(/ready\./, 40);
    const nested = {
      list: [1, -2.5, null, true, 'ü 漢字 🎉', ''],
      map: { ключ: [[]], empty: {} },
      long: 'x'.repeat(5000),
    };
    const when = new Date('2026-01-02T03:04:05.678Z');
    const binary = Uint8Array.from({ length: 256 }, (_, index) => index);
    const values = {
      json: {
        nested,
        when,
        binary,
        text: new TextEncoder().encode('bytes ü'),
        big: 2n ** 70n,
        deep: [{ when: [when] }],
      },
      yaml: {
        nested,
        when,
        binary,
        big: 2n ** 70n,
        odd: ['yes', 'null', '1', '1.0', '2026-01-01', '~', ' x ', 'a: b', '#'],
      },
      msgpack: { nested, binary, big: 2n ** 63n - 1n, negative: -(2 ** 40) },
    }[serializer];
    const typed = {
      decimal: decimalValue('1.10'),
      uuid: uuidValue(`${'0'.repeat(31)}7`),
      date: dateValue('2026-01-02'),
      time: timeValue('04:05:06'),
    };
    for (const { compression, protocol } of combinations) {
      await using app = new Celery('client', {
        brokerUrl: broker.url,
        resultBackend: 'rpc://',
        acceptContent: accepted,
        taskSerializer: serializer,
        taskProtocol: protocol as 1 | 2,
        ...(compression === 'none' ? {} : { taskCompression: compression }),
      });
      const back = await (await app.sendTask('tasks.echo', [values])).get({ timeout: 20 });
      expect(back, `${compression}, protocol ${protocol}`).toEqual(values);
      if (serializer !== 'json') continue;
      for (const [name, value] of Object.entries(typed)) {
        const isEqual = await (await app.sendTask('tasks.equals', [name, value])).get({ timeout: 20 });
        expect([name, isEqual]).toEqual([name, true]);
      }
    }
  });
});

describe('what is not accepted', () => {
  it('is refused by a celery-ts worker, and read by one that accepts it', async () => {
    await using broker = await testBroker();
    const source = (accept: readonly string[]): string => `import { Celery } from 'celery-ts';
export const app = new Celery('tasks', { brokerUrl: process.env.BROKER, resultBackend: 'rpc://', acceptContent: ${JSON.stringify(accept)} });
app.task('tasks.echo', (value: unknown) => value);
`;
    await using project = await tempProject({ 'tasks.ts': source(['json']) });
    await using worker = project.start(['worker', '-A', 'tasks', '-c', '1'], { BROKER: broker.url });
    await worker.line(/ready\./, 30);
    await using python = await pythonProject({});
    const code = `
import os
from celery import Celery
app = Celery('client', broker=os.environ['BROKER'], backend='rpc://')
for serializer in ['yaml', 'msgpack', 'pickle']:
    app.send_task('tasks.echo', (serializer,), serializer=serializer)
print(json.dumps(app.send_task('tasks.echo', ('json',)).get(timeout=20)))
`;
    expect(await python.evaluate(code, { BROKER: broker.url })).toBe('json');
    for (const type of ['application/x-yaml', 'application/x-msgpack', 'pickle is refused']) {
      await worker.line(new RegExp(type));
    }
    expect(await broker.depth('celery')).toBe(0);
  });

  it('is refused by a celery-ts client that reads a result: resultAcceptContent, else acceptContent', async () => {
    await using broker = await testBroker();
    await using python = await pythonProject({
      'proj.py': `
import os
from celery import Celery
app = Celery('proj', broker=os.environ['BROKER'], backend='rpc://', result_serializer='yaml')

@app.task(name='tasks.echo')
def echo(value):
    return value
`,
    });
    await using worker = python.celery(['-A', 'proj', 'worker', '-c', '1', '-P', 'solo', '-l', 'INFO'], {
      BROKER: broker.url,
    });
    await worker.line(/ready\./, 40);
    const echo = async (settings: { acceptContent?: string[]; resultAcceptContent?: string[] }): Promise<unknown> => {
      await using app = new Celery('client', { brokerUrl: broker.url, resultBackend: 'rpc://', ...settings });
      return await (await app.sendTask('tasks.echo', ['there'])).get({ timeout: 5 });
    };
    expect(await echo({ resultAcceptContent: ['json', 'yaml'] })).toBe('there');
    expect(await echo({ acceptContent: ['json', 'yaml'] })).toBe('there');
    await expect(echo({})).rejects.toThrow(/application\/x-yaml.*refused/);
    await expect(echo({ acceptContent: ['json', 'yaml'], resultAcceptContent: ['json'] })).rejects.toThrow(/refused/);
  });
});
