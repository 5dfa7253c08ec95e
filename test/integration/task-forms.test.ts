/** Schemas, classes, hooks, annotations, serializers of a user's own: in a worker with child processes, called from afar. */
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type } from 'arktype';
import { ArgumentsInvalid, Celery, EncodeError, ResultInvalid } from 'celery-ts';
import * as v from 'valibot';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { root } from '../support/build.ts';
import { type TempProject, tempProject } from '../support/cli.ts';
import type { Program } from '../support/process.ts';
import { until } from '../support/until.ts';

const files = {
  'tasks.ts': `import { type } from 'arktype';
import { Celery, TaskBase } from 'celery-ts';
import * as v from 'valibot';
import { z } from 'zod';
import { mirror, flip } from './forms.ts';
export const app = new Celery('forms', {
  brokerUrl: process.env.BROKER, resultBackend: 'rpc://', acceptContent: ['json', 'mirror'],
  taskAnnotations: { '*': { timeLimit: 60 }, 'forms.slow': { time_limit: 0.3 } },
});
app.serializers.register(mirror);
app.compressions.register(flip);
const runs: string[] = [];
app.task('forms.runs', () => [...runs]);

// The same demand of three libraries: a text of digits in, a number in the body, a text out.
const retried = { autoretryFor: [Error], retryBackoff: true, maxRetries: 3 };
app.task('forms.zod', { ...retried, args: z.tuple([z.string().regex(/^\\d+$/).transform(Number), z.coerce.date()]), result: z.number().max(100).transform(String) },
  (count, when) => { runs.push('zod ' + count + ' ' + when.getUTCFullYear()); return count; });
app.task('forms.valibot', { ...retried, args: v.strictTuple([v.pipe(v.string(), v.digits(), v.transform(Number))]), result: v.pipe(v.number(), v.maxValue(100), v.transform(String)) },
  (count) => { runs.push('valibot ' + count); return count; });
app.task('forms.arktype', { ...retried, args: type(['string.integer.parse']), result: type('number<=100').pipe(String) },
  (count) => { runs.push('arktype ' + count); return count; });
app.task('forms.later', { args: z.tuple([z.string().refine(async (text) => text !== 'taken')]) }, (name) => name);

app.task('forms.slow', async () => { for (const end = Date.now() + 5000; Date.now() < end; ); });
app.task('forms.limits', { bind: true }, (self) => self.options.timeLimit);

abstract class Counted extends TaskBase {
  calls = 0;
  log_: string[] = [];
  override call(...args: never[]): unknown {
    this.calls += 1;
    return super.call(...args);
  }
  override beforeStart(taskId: string): void { this.log_.push('before ' + (taskId === this.request.id)); }
  override onSuccess(result: unknown): void { this.log_.push('success ' + result); }
  override onRetry(error: Error): void { this.log_.push('retry ' + error.message); }
  override onFailure(error: Error): void { this.log_.push('failure ' + error.message); }
  override afterReturn(state: string): void { this.log_.push('after ' + state); }
}
const gates = new Map<string, () => void>();
class Meet extends Counted {
  override maxRetries = 1;
  override autoretryFor = [RangeError];
  override defaultRetryDelay = 0;
  /** Waits until the other run is here too, then tells whose run it is. */
  async run(kind: string): Promise<unknown> {
    if (kind === 'fail') throw new RangeError('no');
    if (kind === 'log') return { calls: this.calls, log: this.log_ };
    const before = this.request.id;
    await new Promise<void>((resolve) => {
      gates.set(kind, resolve);
      if (gates.size === 2) for (const open of gates.values()) open();
    });
    return [kind, before, this.request.id, this.request.args[0]];
  }
}
app.registerTask(Meet);
`,
  'forms.ts': `const reversed = (text: string): string => [...text].reverse().join('');
export const mirror = {
  name: 'mirror', contentType: 'text/x-mirror', contentEncoding: 'utf-8',
  encode: (value: unknown) => reversed(JSON.stringify(value)),
  decode: (text: string | Uint8Array) => JSON.parse(reversed(String(text))),
};
export const flip = {
  contentType: 'application/x-flip', aliases: ['flip'],
  compress: (body: Uint8Array) => body.map((byte) => byte ^ 0xff),
  decompress: (body: Uint8Array) => body.map((byte) => byte ^ 0xff),
};
`,
};

/** The caller's side of `forms.ts`. */
const reversed = (text: string): string => [...text].reverse().join('');
const mirror = {
  name: 'mirror',
  contentType: 'text/x-mirror',
  contentEncoding: 'utf-8',
  encode: (value: unknown) => reversed(JSON.stringify(value)),
  decode: (text: string | Uint8Array) => JSON.parse(reversed(String(text))),
};
const flip = {
  contentType: 'application/x-flip',
  aliases: ['flip'],
  compress: (body: Uint8Array) => body.map((byte) => byte ^ 0xff),
  decompress: (body: Uint8Array) => body.map((byte) => byte ^ 0xff),
};

describe('a worker with child processes', () => {
  let broker: TestBroker;
  let project: TempProject;
  let worker: Program;
  let app: Celery;

  beforeAll(async () => {
    broker = await testBroker();
    project = await tempProject(files);
    for (const name of ['zod', 'valibot', 'arktype']) {
      await symlink(join(root, 'node_modules', name), join(project.folder, 'node_modules', name), 'dir');
    }
    worker = project.start(['worker', '-A', 'tasks', '-c', '1', '--async-slots', '4', '-l', 'INFO'], {
      BROKER: broker.url,
    });
    app = new Celery('client', { brokerUrl: broker.url, resultBackend: 'rpc://', acceptContent: ['json', 'mirror'] });
    app.serializers.register(mirror);
    app.compressions.register(flip);
    await worker.line(/ready\./, 30);
  });

  afterAll(async () => {
    await worker.stop();
    await app.close();
    await project.close();
    await broker.close();
  });

  const get = async (name: string, args: readonly unknown[] = [], options = {}): Promise<unknown> =>
    await (await app.sendTask(name, args, options)).get({ timeout: 20 });

  it.each([
    ['zod', [new Date('2026-01-02')], z.tuple([z.string().regex(/^\d+$/), z.date()])],
    ['valibot', [], v.strictTuple([v.pipe(v.string(), v.digits())])],
    ['arktype', [], type(['string.integer'])],
  ] as const)('takes the schemas of %s: checked at the caller, made at the worker', async (library, more, args) => {
    const name = `forms.${library}`;
    expect(await get(name, ['7', ...more])).toBe('7');
    // A caller without the schema: the worker refuses, once, before the body.
    await expect(get(name, [7, ...more])).rejects.toThrow(ArgumentsInvalid);
    await expect(get(name, ['x', ...more])).rejects.toThrow(/^forms\.\w+: 0/);
    await expect(get(name, ['101', ...more])).rejects.toThrow(ResultInvalid);
    const runs = (await get('forms.runs')) as string[];
    expect(runs.filter((run) => run.startsWith(library)).map((run) => run.split(' ')[1])).toEqual(['7', '101']);
    // A caller with it: nothing is sent.
    const typed = app.task(name, { args }, () => '') as { applyAsync(args: readonly unknown[]): Promise<unknown> };
    await expect(typed.applyAsync(['x', ...more])).rejects.toThrow(ArgumentsInvalid);
    expect(await broker.depth('celery')).toBe(0);
    expect(((await get('forms.runs')) as string[]).filter((run) => run.startsWith(library))).toHaveLength(2);
  });

  it('waits for schemas that answer later', async () => {
    expect(await get('forms.later', ['free'])).toBe('free');
    await expect(get('forms.later', ['taken'])).rejects.toThrow(ArgumentsInvalid);
  });

  it('runs task classes as one object that knows each of its runs, and their hooks', async () => {
    const sent = await Promise.all([
      app.sendTask('forms.Meet', ['a'], { taskId: 'run-a' }),
      app.sendTask('forms.Meet', ['b'], { taskId: 'run-b' }),
    ]);
    expect(await Promise.all(sent.map((result) => result.get({ timeout: 20 })))).toEqual([
      ['a', 'run-a', 'run-a', 'a'],
      ['b', 'run-b', 'run-b', 'b'],
    ]);
    await expect(get('forms.Meet', ['fail'])).rejects.toThrow('no');
    const { calls, log } = (await get('forms.Meet', ['log'])) as { calls: number; log: string[] };
    expect(calls).toBe(5);
    const failing = log.slice(log.indexOf('retry no') - 1);
    expect(failing).toEqual(['before true', 'retry no', 'before true', 'failure no', 'after FAILURE', 'before true']);
    expect(log.slice(0, 6).sort()).toEqual([
      'after SUCCESS',
      'after SUCCESS',
      'before true',
      'before true',
      expect.stringMatching(/^success a/),
      expect.stringMatching(/^success b/),
    ]);
  });

  it('takes annotations from the settings: a limit for all, a shorter one for a task that it ends', async () => {
    expect(await get('forms.limits')).toBe(60);
    await expect(get('forms.slow')).rejects.toThrow(/TimeLimitExceeded/);
  });

  it('reads serializers and compressions that both sides have registered, and refuses what only the caller knows', async () => {
    expect(await get('forms.later', ['ü'], { serializer: 'mirror', compression: 'flip' })).toBe('ü');
    await expect(get('forms.later', ['x'], { serializer: 'unheard' })).rejects.toThrow(EncodeError);
    await until(async () => (await broker.depth('celery')) === 0, { what: 'the queue to be empty' });
  });
});
