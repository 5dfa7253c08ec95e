/** Handles as they travel. The tuples are those of celery-protocol.md section 8. */
import { describe, expect, it } from 'vitest';
import { DecodeError } from '../../../src/core/errors.ts';
import { AsyncResult, GroupResult, resultFromTuple } from '../../../src/results/index.ts';
import { aWorld } from './world.ts';

const { host } = aWorld();

describe('result tuples', () => {
  it.each([
    ['a task', [['33f3', null], null]],
    ['a task with a parent', [['last', [['first', null], null]], null]],
    [
      'a group',
      [
        ['gid', null],
        [
          [['id1', null], null],
          [['id2', null], null],
        ],
      ],
    ],
    ['an empty group', [['gid', null], []]],
    [
      'a group in a group, after a group',
      [['g', [['p', null], [[['x', null], null]]]], [[['h', null], [[['y', null], null]]]]],
    ],
  ])('come back as they went: %s', (_, tuple) => {
    expect(JSON.parse(JSON.stringify(resultFromTuple(tuple, host)))).toEqual(tuple);
  });

  it('make a task of null members and a group of a list', () => {
    expect(resultFromTuple([['a', null], null], host)).toBeInstanceOf(AsyncResult);
    expect(resultFromTuple([['a', null], []], host)).toBeInstanceOf(GroupResult);
  });

  it('may be a plain id, or have a plain id for a head', () => {
    expect(resultFromTuple('some-id', host).id).toBe('some-id');
    expect(resultFromTuple(['some-id', null], host).asTuple()).toEqual([['some-id', null], null]);
  });

  it('know chains of ten thousand steps', () => {
    let tuple: unknown = null;
    for (let step = 0; step < 10_000; step += 1) tuple = [[`step ${step}`, tuple], null];
    const result = resultFromTuple(tuple, host);
    expect(result).toBeInstanceOf(AsyncResult);
    expect((result as AsyncResult).root.id).toBe('step 0');
  });

  it.each([
    null,
    undefined,
    7,
    '',
    {},
    [],
    [[]],
    [['a', null]],
    [['a', null], 'members'],
    [[7, null], null],
    [['a', 7], null],
    [['a', null], [null]],
    [['', null], null],
    Array.from({ length: 200 }).reduce((inner) => [['g', null], [inner]], [['a', null], null]),
  ])('are refused when they are something else: %j', (given) => {
    expect(() => resultFromTuple(given, host)).toThrow(DecodeError);
  });
});
