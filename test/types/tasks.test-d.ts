import { describe, expectTypeOf, it } from 'vitest';

import {
  type AsyncResult,
  type BoundTask,
  type CallOptions,
  Celery,
  currentTask,
  type SignatureOptions,
  sharedTask,
  TaskBase,
} from '../../src/index.ts';

const app = new Celery('types');

describe('a task', () => {
  const add = app.task('tasks.add', (x: number, y: number) => x + y);

  it('is called with what its function takes and gives what it gives', () => {
    expectTypeOf(add(1, 1)).toEqualTypeOf<number>();
    // @ts-expect-error a string is no number
    add('1', 1);
  });

  it('is sent with the same arguments, and its result has the type of the return value', () => {
    expectTypeOf(add.delay(1, 1)).resolves.toEqualTypeOf<AsyncResult<number>>();
    expectTypeOf(add.applyAsync([1, 1], { countdown: 10 })).resolves.toEqualTypeOf<AsyncResult<number>>();
    // @ts-expect-error a string is no number
    add.delay('1', 1);
    // @ts-expect-error one argument is missing
    add.delay(1);
    // @ts-expect-error and here
    add.applyAsync([1]);
  });

  it('takes the rest of its arguments by name when kwargs are given', () => {
    expectTypeOf(add.applyAsync([1], { kwargs: { y: 2 } })).resolves.toEqualTypeOf<AsyncResult<number>>();
  });

  it('refuses unknown options of a call', () => {
    // @ts-expect-error it is countdown
    add.applyAsync([1, 1], { countDown: 10 });
  });

  it('refuses unknown options of a task', () => {
    // @ts-expect-error it is acksLate
    app.task('tasks.late', { ackLate: true }, () => 1);
  });
});

describe('an asynchronous task', () => {
  const fetchPage = app.task(
    'tasks.fetch_page',
    { autoretryFor: [TypeError], retryBackoff: true, maxRetries: 5, rateLimit: '10/m', timeLimit: 60, acksLate: true },
    async (url: string) => url.length,
  );

  it('gives a promise when called and the awaited type as a result', () => {
    expectTypeOf(fetchPage('x')).toEqualTypeOf<Promise<number>>();
    expectTypeOf(fetchPage.delay('x')).resolves.toEqualTypeOf<AsyncResult<number>>();
    // @ts-expect-error the url is missing
    fetchPage.delay();
  });
});

describe('parameters', () => {
  it('may be optional', () => {
    const greet = app.task('tasks.greet', (name: string, greeting = 'Hello') => `${greeting}, ${name}`);
    expectTypeOf(greet.delay('Ada')).resolves.toEqualTypeOf<AsyncResult<string>>();
    expectTypeOf(greet.delay('Ada', 'Dear')).resolves.toEqualTypeOf<AsyncResult<string>>();
    // @ts-expect-error a number is no greeting
    greet.delay('Ada', 1);
  });

  it('may be a rest', () => {
    const sum = app.task('tasks.sum', (...numbers: number[]) => numbers.reduce((a, b) => a + b, 0));
    expectTypeOf(sum.delay(1, 2, 3)).resolves.toEqualTypeOf<AsyncResult<number>>();
    // @ts-expect-error all of them are numbers
    sum.delay(1, '2');
  });

  it('may be of any type when the function is generic', () => {
    const first = app.task('tasks.first', <T>(items: T[]) => items[0]);
    expectTypeOf(first.delay([1])).resolves.toEqualTypeOf<AsyncResult<unknown>>();
  });
});

describe('a bound task', () => {
  it('has a typed self that is no argument', () => {
    const getId = app.task('tasks.get_id', { bind: true }, (self) => self.request.id);
    expectTypeOf(getId()).toEqualTypeOf<string>();
    expectTypeOf(getId.delay()).resolves.toEqualTypeOf<AsyncResult<string>>();
    // @ts-expect-error there is no argument
    getId.delay(1);
  });

  it('has its arguments after self', () => {
    const echo = app.task('tasks.echo', { bind: true }, (self, text: string, times?: number) => {
      expectTypeOf(self).toEqualTypeOf<BoundTask>();
      return text.repeat(times ?? 1);
    });
    expectTypeOf(echo.delay('x')).resolves.toEqualTypeOf<AsyncResult<string>>();
    expectTypeOf(echo.delay('x', 2)).resolves.toEqualTypeOf<AsyncResult<string>>();
    // @ts-expect-error the text is missing
    echo.delay();
  });
});

describe('a task class', () => {
  it('is typed by its run', () => {
    class Fetch extends TaskBase {
      override name = 'tasks.fetch';
      override autoretryFor = [TypeError];
      async run(url: string): Promise<number> {
        expectTypeOf(this.request.id).toEqualTypeOf<string>();
        return url.length;
      }
    }
    const fetchPage = app.registerTask(Fetch);
    expectTypeOf(fetchPage.delay('x')).resolves.toEqualTypeOf<AsyncResult<number>>();
    // @ts-expect-error a number is no url
    fetchPage.delay(1);
  });
});

describe('a shared task', () => {
  it('is typed as the task it becomes', () => {
    const add = sharedTask('lib.add', (x: number, y = 1) => x + y);
    expectTypeOf(app.registerTask(add).delay(1)).resolves.toEqualTypeOf<AsyncResult<number>>();
    expectTypeOf(add.in(app).delay(1, 2)).resolves.toEqualTypeOf<AsyncResult<number>>();
    const who = sharedTask('lib.who', { bind: true }, (self, loud: boolean) => (loud ? self.name : ''));
    expectTypeOf(who.in(app).delay(true)).resolves.toEqualTypeOf<AsyncResult<string>>();
    // @ts-expect-error a text is no number
    add.in(app).delay('1');
    // @ts-expect-error self is no argument
    who.in(app).delay();
  });
});

describe('the running task', () => {
  it('may be absent', () => {
    expectTypeOf(currentTask()).toEqualTypeOf<BoundTask | undefined>();
  });
});

describe('settings', () => {
  it('are named by the checker when one is misspelt', () => {
    // @ts-expect-error Did you mean 'taskAcksLate'?
    app.conf.taskAckLate = true;
    app.conf.taskAcksLate = true;
  });
});

describe('the options of a signature', () => {
  const add = app.task('tasks.add', (x: number, y: number) => x + y);

  it('are those of a call, by their names and types', () => {
    expectTypeOf<SignatureOptions>().toExtend<CallOptions>();
    add.s(1).set({ queue: 'mail', countdown: 10, immutable: true });
    // @ts-expect-error there is no such option
    add.s(1).set({ quue: 'mail' });
    // @ts-expect-error seconds are a number
    add.s(1).set({ countdown: '10' });
  });
});
