/** Whatever a task throws, in a real worker: the caller hears of it as it was, and the worker goes on. */

import * as errors from 'celery-ts';
import { Celery, NonErrorThrown, RemoteTaskError } from 'celery-ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestBroker, testBroker } from '../support/broker.ts';
import { type TempProject, tempProject } from '../support/cli.ts';
import type { Program } from '../support/process.ts';

const source = `import * as errors from 'celery-ts';
import { Celery, Reject } from 'celery-ts';
export const app = new Celery('errors', { brokerUrl: process.env.BROKER, resultBackend: 'rpc://' });

app.task('ok', () => 'ok');

/** Throws a class of the tree by name. */
app.task('tree', (name: string) => {
  if (name === 'RemoteTaskError') {
    throw new errors.RemoteTaskError({ excType: 'Odd', excModule: 'proj', excMessage: ['odd', 7] });
  }
  if (name === 'TimeLimitExceeded') throw new errors.TimeLimitExceeded(3);
  throw new (errors as any)[name]('said by the task');
});

class PaymentRefused extends Error {
  excType = 'PaymentRefused';
  excModule = 'shop.errors';
  excMessage = ['card', 42, { reason: 'expired' }];
}

const circle: Record<string, unknown> = { name: 'circle' };
circle.itself = circle;

const things: Record<string, () => unknown> = {
  'a text': () => 'just a text',
  'a number': () => 7,
  'nothing': () => undefined,
  'null': () => null,
  'an object': () => ({ status: 404 }),
  'a circle': () => circle,
  'a bigint': () => 5n,
  'a symbol': () => Symbol('mark'),
  'a function': () => () => 1,
  'an own error': () => new PaymentRefused('the card was refused'),
  'a cause': () => new Error('above', { cause: new TypeError('below', { cause: 'the bottom' }) }),
  'causes in a circle': () => {
    const error = new Error('round');
    error.cause = new Error('and round', { cause: error });
    return error;
  },
  'several errors': () => new AggregateError([new TypeError('one'), 'two'], 'both failed'),
  'parts without a form': () => Object.assign(new Error('parts'), { excMessage: [() => 1, Symbol('s'), circle, 10n ** 30n, NaN] }),
  'getters that throw': () => Object.defineProperties(new Error('x'), {
    message: { get() { throw new Error('no message'); } },
    stack: { get() { throw new Error('no stack'); } },
    cause: { get() { throw new Error('no cause'); } },
  }),
  'a proxy that throws': () => new Proxy(new Error('x'), { get() { throw new Error('no'); } }),
  'an error of another realm': async () => (await import('node:vm')).runInNewContext('new RangeError("elsewhere")'),
  'a message of 5 MB': () => new Error('x'.repeat(5_000_000)),
  'a frozen error': () => Object.freeze(new Error('frozen')),
};
app.task('throw', async (name: string) => { throw await things[name]!(); });
app.task('throw_at_once', (name: string) => { throw things[name]!(); });

const values: Record<string, () => unknown> = {
  'a function': () => () => 1,
  'a circle': () => circle,
  'a symbol': () => Symbol('s'),
  'an invalid date': () => new Date(NaN),
};
app.task('return', (name: string) => values[name]!());

app.task('exhausted', { bind: true, maxRetries: 0 }, (self) => { throw self.retry({ countdown: 0 }); });
app.task('exhausted_with', { bind: true, maxRetries: 1 }, (self, text: string) => {
  throw self.retry({ countdown: 0, exc: new RangeError(text) });
});
app.task('expected', { throws: [TypeError] }, () => { throw new TypeError('as agreed'); });
`;

describe.each([
  ['prefork', ['-c', '1']],
  ['async', ['-P', 'async', '-c', '2']],
])('a worker (%s)', (_, options) => {
  let broker: TestBroker;
  let project: TempProject;
  let worker: Program;
  let app: Celery;

  beforeAll(async () => {
    broker = await testBroker();
    project = await tempProject({ 'tasks.ts': source });
    worker = project.start(['worker', '-A', 'tasks', '-l', 'INFO', ...options], { BROKER: broker.url });
    app = new Celery('client', { brokerUrl: broker.url, resultBackend: 'rpc://' });
    await worker.line(/ready\./, 30);
  });

  afterAll(async () => {
    const { code } = await worker.stop();
    await app.close();
    await project.close();
    await broker.close();
    expect(code).toBe(0);
  });

  /** What the caller is told; the worker has to do an ordinary task afterwards. */
  const failure = async (task: string, ...args: unknown[]): Promise<Error & Record<string, unknown>> => {
    const result = await app.sendTask(task, args);
    const told = await result.get({ timeout: 20 }).then(
      (value) => new Error(`It succeeded with ${String(value)}.`),
      (error: unknown) => error as Error,
    );
    expect(await (await app.sendTask('ok')).get({ timeout: 20 })).toBe('ok');
    return told as Error & Record<string, unknown>;
  };

  /** What steers a run, what has a test of its own, what a schedule throws, and what travels as Python's RuntimeError. */
  const others = [
    ...['Retry', 'Ignore', 'Reject', 'TaskPredicate', 'RemoteTaskError', 'NonErrorThrown'],
    ...['ScheduleError', 'BlockingJoinError'],
  ];
  const tree = Object.entries(errors).flatMap(([name, value]) =>
    typeof value === 'function' && value.prototype instanceof Error && !others.includes(name) ? [name] : [],
  );

  it('knows at least thirty classes of errors', () => {
    expect(tree.length).toBeGreaterThanOrEqual(30);
  });

  it.each(tree)('%s thrown by a body is an ordinary failure, and itself at the caller', async (name) => {
    const error = await failure('tree', name);
    expect(error).toBeInstanceOf(Reflect.get(errors, name));
    expect(error.name).toBe(name);
    if (name !== 'NotRegistered' && name !== 'TimeLimitExceeded') expect(error.message).toContain('said by the task');
    expect(error.remoteTraceback).toContain(name);
  });

  it('passes on an error of a third worker as it came', async () => {
    const error = await failure('tree', 'RemoteTaskError');
    expect(error).toBeInstanceOf(RemoteTaskError);
    expect(error).toMatchObject({ excType: 'Odd', excModule: 'proj', excMessage: ['odd', 7] });
  });

  it.each([
    ['a text', "'just a text' was thrown"],
    ['a number', '7 was thrown'],
    ['nothing', 'undefined was thrown'],
    ['null', 'null was thrown'],
    ['an object', '{"status":404} was thrown'],
    ['a circle', 'a value of type object was thrown'],
    ['a bigint', 'a value of type bigint was thrown'],
    ['a symbol', 'Symbol(mark) was thrown'],
    ['a function', 'was thrown, which is no Error'],
  ])('tells of %s that was thrown, which is no error', async (name, message) => {
    for (const task of ['throw', 'throw_at_once']) {
      const error = await failure(task, name);
      expect(error).toBeInstanceOf(NonErrorThrown);
      expect(error.message).toContain(message);
    }
  });

  it('keeps type, module and parts of an error that says them', async () => {
    const error = await failure('throw', 'an own error');
    expect(error).toMatchObject({
      excType: 'PaymentRefused',
      excModule: 'shop.errors',
      excMessage: ['card', 42, { reason: 'expired' }],
    });
  });

  it('keeps the causes in the traceback, the first of them first', async () => {
    const { remoteTraceback } = await failure('throw', 'a cause');
    const direct = 'The above exception was the direct cause of the following exception:';
    const parts = ['the bottom', direct, 'TypeError: below', direct, 'Error: above'];
    expect(remoteTraceback).toMatch(new RegExp(parts.join('[\\s\\S]*')));
    expect((await failure('throw', 'several errors')).remoteTraceback).toMatch(
      /both failed[\s\S]*TypeError: one[\s\S]*two/,
    );
    expect((await failure('throw', 'causes in a circle')).remoteTraceback).toMatch(/and round[\s\S]*round/);
  });

  it.each([
    ['parts without a form', 'Error'],
    ['getters that throw', 'Error'],
    ['a proxy that throws', 'Error'],
    ['an error of another realm', 'RangeError'],
    ['a message of 5 MB', 'Error'],
    ['a frozen error', 'Error'],
  ])('tells of %s', async (name, excType) => {
    const error = await failure('throw', name);
    expect(error).toBeInstanceOf(Error);
    expect(error.excType).toBe(excType);
    expect(error.message.length).toBeLessThan(100_000);
  });

  it.each(['a function', 'a circle', 'a symbol', 'an invalid date'])(
    'fails a task that returns %s with an EncodeError',
    async (name) => {
      expect(await failure('return', name)).toBeInstanceOf(errors.EncodeError);
    },
  );

  it('fails a task that has used up its retries: with the error it named, else with MaxRetriesExceededError', async () => {
    expect(await failure('exhausted')).toBeInstanceOf(errors.MaxRetriesExceededError);
    const named = await failure('exhausted_with', 'enough');
    expect(named).toBeInstanceOf(RangeError);
    expect(named.message).toBe('enough');
  });

  it('logs an expected error at info, without a stack', async () => {
    await failure('expected');
    const line = await worker.line(/as agreed/);
    expect(line).not.toContain('    at ');
    expect(line).toMatch(/"level":30|INFO/);
  });
});
