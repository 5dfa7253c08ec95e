/** `taskAnnotations`: options laid over tasks from the settings. */
import { describe, expect, it } from 'vitest';
import { Celery, type CeleryConfig, ImproperlyConfigured } from '../../../src/index.ts';
import { definition, type TaskOptions } from '../../../src/task/index.ts';

function optionsWith(
  taskAnnotations: NonNullable<CeleryConfig['taskAnnotations']>,
  own: TaskOptions = {},
): TaskOptions {
  const app = new Celery('t', { taskAnnotations });
  return app.task('shop.add', { ...own, bind: false }, () => 1).options;
}

describe('an annotation', () => {
  it('is laid over the options of the task it names, in either spelling', () => {
    const options = optionsWith(
      { 'shop.add': { rate_limit: '10/s', maxRetries: 7 } },
      { rateLimit: '1/s', queue: 'q' },
    );
    expect(options).toMatchObject({ rateLimit: '10/s', maxRetries: 7, queue: 'q' });
  });

  it('leaves other tasks alone', () => {
    expect(optionsWith({ 'shop.sub': { rateLimit: '10/s' }, toString: { priority: 1 } })).toEqual({ bind: false });
  });

  it("of '*' comes first, then globs, then the task's own name", () => {
    const options = optionsWith({
      'shop.add': { priority: 3 },
      'shop.*': { priority: 2, maxRetries: 2 },
      '*': { priority: 1, maxRetries: 1, timeLimit: 1 },
    });
    expect(options).toMatchObject({ priority: 3, maxRetries: 2, timeLimit: 1 });
  });

  it('further down the list is laid over those before it', () => {
    const options = optionsWith([{ 'shop.add': { priority: 1, timeLimit: 5 } }, { '*': { priority: 2 } }]);
    expect(options).toMatchObject({ priority: 2, timeLimit: 5 });
  });

  it('may be a function of the task, or an object that annotates', () => {
    class Slow {
      readonly limit = 30;
      annotate({ name }: { name: string }) {
        return name === 'shop.add' ? { timeLimit: this.limit } : null;
      }
      annotateAny() {
        return { timeLimit: 60, priority: 9 };
      }
    }
    const options = optionsWith([
      (task) => (task.name.startsWith('shop.') ? { queue: 'shop' } : undefined),
      new Slow(),
    ]);
    expect(options).toMatchObject({ queue: 'shop', timeLimit: 30, priority: 9 });
  });

  it('decides what the program works with, also for a setting that changes later', () => {
    const app = new Celery('t');
    const add = app.task('shop.add', { acksLate: true }, () => 1);
    expect(add[definition].resolved().acksLate).toBe(true);
    app.conf.taskAnnotations = { '*': { acksLate: false, rateLimit: '5/m' } };
    expect(add[definition].resolved()).toMatchObject({ acksLate: false, rateLimit: '5/m' });
    app.conf.taskAnnotations = {};
    expect(add[definition].resolved()).toMatchObject({ acksLate: true, rateLimit: undefined });
  });

  it('that begins with @ wraps a hook or the body', async () => {
    const seen: unknown[] = [];
    const app = new Celery('t', {
      taskAnnotations: {
        'shop.add': {
          '@run': (run: (...args: number[]) => number) => (x: number, y: number) => run(x, y) * 10,
          '@on_success': (inner: (...args: unknown[]) => unknown) => async (self: unknown, value: unknown) => {
            seen.push(['around', value]);
            await inner(self, value);
          },
        },
      },
    });
    const onSuccess = (_self: unknown, value: unknown) => void seen.push(['own', value]);
    const add = app.task('shop.add', { onSuccess }, (x: number, y: number) => x + y);
    expect(await (await add.apply([1, 2])).get()).toBe(30);
    expect(seen).toEqual([
      ['around', 30],
      ['own', 30],
    ]);
    expect(add(1, 2)).toBe(30);
  });

  it.each([
    ['an unknown option', { '*': { rateLimits: '1/s' } }, /shop\.add.*'rateLimits'; did you mean 'rateLimit'/],
    ['an ill-typed value', { '*': { priority: 'high' } }, /'priority' should be a whole number/],
    ['bind', { '*': { bind: true } }, /'bind' of 'shop\.add' belongs to its function/],
    ['no object of options', { '*': 'fast' as never }, /should be an object of options/],
    ['a wrap that is no function', { '*': { '@run': 1 } }, /'@run' of 'shop\.add' should be a function/],
  ])('with %s is refused by name', (_, annotations, problem) => {
    expect(() => optionsWith(annotations)).toThrow(ImproperlyConfigured);
    expect(() => optionsWith(annotations)).toThrow(problem);
  });

  it('that cannot be used stops the app from loading', async () => {
    const app = new Celery('t', { taskAnnotations: { 'shop.add': { timeLimt: 1 } } });
    app.task('shop.add', () => 1);
    await expect(app.loaded).rejects.toThrow(/did you mean 'timeLimit'/);
  });
});
