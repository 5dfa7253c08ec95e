import { type } from 'arktype';
import * as v from 'valibot';
import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { type AsyncResult, type BoundTask, Celery, TaskBase } from '../../src/index.ts';

const app = new Celery('types');

describe('a task with a zod schema', () => {
  const options = {
    args: z.tuple([z.string().transform(Number), z.coerce.date().optional()]),
    result: z.string().transform(Number),
  };
  const task = app.task('tasks.zod', { ...options, acksLate: true }, (count, at) => {
    expectTypeOf(count).toEqualTypeOf<number>();
    expectTypeOf(at).toEqualTypeOf<Date | undefined>();
    return String(count);
  });

  it('takes what the schema takes', () => {
    expectTypeOf(task.delay('1')).resolves.toEqualTypeOf<AsyncResult<number>>();
    // @ts-expect-error the schema takes a text
    task.delay(1);
    // @ts-expect-error and needs it
    task.delay();
    // @ts-expect-error in applyAsync too
    task.applyAsync([1]);
    expectTypeOf(task.s('1').delay()).resolves.toEqualTypeOf<AsyncResult<number>>();
  });

  it('gives what the schema of the result makes, also when called', () => {
    expectTypeOf(task('1')).toEqualTypeOf<number>();
  });

  it('has a body that fits', () => {
    // @ts-expect-error the schema makes a number of it
    app.task('tasks.wrong', { args: options.args }, (count: string) => count);
    // @ts-expect-error the schema wants a text
    app.task('tasks.wrong', { result: options.result }, () => 7);
    // @ts-expect-error a promise of a text, then
    app.task('tasks.wrong', { result: options.result }, async () => 7);
  });

  it('may take less than the schema gives', () => {
    const first = app.task('tasks.first', { args: options.args }, (count) => count);
    expectTypeOf(first.delay('1', '2026-01-01')).resolves.toEqualTypeOf<AsyncResult<number>>();
  });

  it('refuses unknown options as before', () => {
    // @ts-expect-error it is acksLate
    app.task('tasks.wrong', { args: options.args, ackLate: true }, () => 1);
  });
});

describe('a task with a valibot schema', () => {
  it('has its types', () => {
    const task = app.task(
      'tasks.valibot',
      {
        bind: true,
        args: v.tuple([
          v.pipe(
            v.string(),
            v.transform((text) => text.length),
          ),
          v.optional(v.boolean(), false),
        ]),
        onFailure(self, error, taskId) {
          expectTypeOf(self).toEqualTypeOf<BoundTask>();
          expectTypeOf(taskId).toEqualTypeOf<string>();
          self.log.warn({ err: error }, 'failed');
        },
      },
      async (self, length, loud) => {
        expectTypeOf(self).toEqualTypeOf<BoundTask>();
        expectTypeOf(length).toEqualTypeOf<number>();
        expectTypeOf(loud).toEqualTypeOf<boolean>();
        return { length };
      },
    );
    expectTypeOf(task.delay('x')).resolves.toEqualTypeOf<AsyncResult<{ length: number }>>();
    expectTypeOf(task.delay('x', true)).resolves.toEqualTypeOf<AsyncResult<{ length: number }>>();
    // @ts-expect-error a number is no text
    task.delay(1);
  });
});

describe('a task with an arktype schema', () => {
  it('has its types', () => {
    const task = app.task(
      'tasks.arktype',
      { args: type(['string.numeric.parse', 'string']), result: type({ total: 'number' }) },
      async (count, unit) => {
        expectTypeOf(count).toEqualTypeOf<number>();
        expectTypeOf(unit).toEqualTypeOf<string>();
        return { total: count };
      },
    );
    expectTypeOf(task.delay('1', 'kg')).resolves.toEqualTypeOf<AsyncResult<{ total: number }>>();
    expectTypeOf(task('1', 'kg')).toEqualTypeOf<Promise<{ total: number }>>();
    // @ts-expect-error the unit is missing
    task.delay('1');
  });
});

describe('a task class with schemas', () => {
  it('takes and gives what they say', () => {
    class Sum extends TaskBase {
      override args = z.tuple([z.string().transform(Number)]);
      override result = z.number().transform(String);
      run(count: number): number {
        return count;
      }
    }
    const sum = app.registerTask(Sum);
    expectTypeOf(sum.delay('1')).resolves.toEqualTypeOf<AsyncResult<string>>();
    // @ts-expect-error the schema takes a text
    sum.delay(1);
  });
});
