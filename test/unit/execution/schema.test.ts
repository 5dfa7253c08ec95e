/** Standard Schema, whichever library made it: at the worker's end, at the caller's, and in a direct call. */
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { type } from 'arktype';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { checkArguments, checkResult } from '../../../src/execution/index.ts';
import { ArgumentsInvalid, Celery, ResultInvalid } from '../../../src/index.ts';

/** The same demand in three libraries: a text of digits, and a unit that may be left out. */
const libraries = [
  [
    'zod',
    z.tuple([z.string().regex(/^\d+$/).transform(Number), z.enum(['kg', 'g']).optional()]),
    z.number().max(100).transform(String),
  ],
  [
    'valibot',
    v.strictTuple([v.pipe(v.string(), v.digits(), v.transform(Number)), v.optional(v.picklist(['kg', 'g']))]),
    v.pipe(v.number(), v.maxValue(100), v.transform(String)),
  ],
  ['arktype', type(['string.integer.parse', "'kg'|'g'?"]), type('number<=100').pipe(String)],
] as const;

describe.each(libraries)('a schema of %s', (_, args, result) => {
  const options: { args: StandardSchemaV1; result: StandardSchemaV1 } = { args, result };

  it('makes the parameters of the arguments, at once', () => {
    expect(checkArguments('t', options, ['7', 'kg'], {})).toEqual([7, 'kg']);
    expect(checkArguments('t', options, ['7'], {})).toHaveProperty('0', 7);
  });

  it.each([
    ['a wrong type', [7], /^t: .*0.*/],
    ['a value out of bounds', ['7', 'tons'], /^t: .*1.*/],
    ['an argument too many', ['7', 'kg', 1], /^t: ./],
    ['an argument too few', [], /^t: ./],
  ])('refuses %s and says where', (_, given, problem) => {
    expect(() => checkArguments('t', options, given, {})).toThrow(ArgumentsInvalid);
    expect(() => checkArguments('t', options, given, {})).toThrow(problem);
  });

  it('finds arguments given by name, with params', () => {
    const named = { ...options, params: ['count', 'unit'] };
    expect(checkArguments('t', named, [], { count: '7', unit: 'g' })).toEqual([7, 'g']);
    expect(() => checkArguments('t', named, [], { count: 7 })).toThrow(ArgumentsInvalid);
    expect(() => checkArguments('t', named, ['7'], { weight: 7 })).toThrow(/unknown keyword arguments: weight/);
  });

  it('makes the result of the return value', () => {
    expect(checkResult('t', options, 7)).toBe('7');
    expect(() => checkResult('t', options, 101)).toThrow(ResultInvalid);
  });

  it('holds for a direct call', () => {
    const app = new Celery('t');
    const weigh = app.task('t.weigh', options, (count: number) => count * 2);
    expect(weigh('7')).toBe('14');
    expect(() => weigh('x')).toThrow(ArgumentsInvalid);
    expect(() => weigh('70')).toThrow(ResultInvalid);
  });

  it('fails a run with ArgumentsInvalid before the body, and never retries it', async () => {
    const runs: unknown[] = [];
    const app = new Celery('t');
    const weigh = app.task('t.weigh', { ...options, autoretryFor: [Error], retryBackoff: true }, (count: number) => {
      runs.push(count);
      return count;
    });
    expect(await (await weigh.apply(['7'])).get()).toBe('7');
    const refused = await weigh.apply([7]);
    expect(await refused.state()).toBe('FAILURE');
    await expect(refused.get()).rejects.toThrow(ArgumentsInvalid);
    const tooMuch = await weigh.apply(['101']);
    await expect(tooMuch.get()).rejects.toThrow(ResultInvalid);
    expect(runs).toEqual([7, 101]);
  });
});

describe('a schema that answers later', () => {
  const later = z.tuple([z.string().refine(async (text) => text !== 'taken', 'is taken')]);

  it('is waited for at a worker', async () => {
    const app = new Celery('t');
    const greet = app.task('t.greet', { args: later }, (name) => `Hello, ${name}`);
    expect(await (await greet.apply(['Ada'])).get()).toBe('Hello, Ada');
    await expect((await greet.apply(['taken'])).get()).rejects.toThrow(/t\.greet: 0: is taken/);
  });

  it('makes a direct call a promise', async () => {
    const greet = new Celery('t').task('t.greet', { args: later }, (name) => `Hello, ${name}`);
    await expect(greet('Ada')).resolves.toBe('Hello, Ada');
    await expect(greet('taken')).rejects.toThrow(ArgumentsInvalid);
  });
});

describe('a schema that describes no list', () => {
  it('is named as the mistake it is', () => {
    expect(() => checkArguments('t', { args: z.any().transform(() => 7) }, [1], {})).toThrow(
      /list of parameters, a tuple/,
    );
  });

  it('that is no schema at all is refused when the task is registered', () => {
    expect(() => new Celery('t').task('t.x', { args: {} as never }, () => 1)).toThrow(/should be a Standard Schema/);
  });
});

describe('a caller', () => {
  it('is told before anything is sent', async () => {
    // Nothing listens there: whoever got as far as the broker would fail otherwise.
    await using app = new Celery('t', { brokerUrl: 'amqp://127.0.0.1:1//' });
    const weigh = app.task('t.weigh', { args: libraries[0][1] }, (count) => count);
    await expect(weigh.delay('x')).rejects.toThrow(ArgumentsInvalid);
    await expect(weigh.applyAsync(['1', 'tons' as never])).rejects.toThrow(/^t\.weigh: 1: /);
    await expect(weigh.s('x').delay()).rejects.toThrow(ArgumentsInvalid);
    await expect(app.sendTask('t.weigh', ['x'])).rejects.toThrow(ArgumentsInvalid);
  });
});
