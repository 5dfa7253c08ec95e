/** Words of a command line, and maps from the wire, as arguments of commands. */
import { describe, expect, it } from 'vitest';
import { argumentsFromWords, type CommandName, checkArguments, commands } from '../../../src/control/index.ts';
import { ArgumentsInvalid } from '../../../src/core/errors.ts';

const fromWords = (name: CommandName, ...words: string[]): Record<string, unknown> =>
  argumentsFromWords(name, commands[name], words);
const check = (name: CommandName, given: Record<string, unknown>): Record<string, unknown> =>
  checkArguments(name, commands[name], given);

describe('words of a command line', () => {
  it.each<[CommandName, string[], Record<string, unknown>]>([
    ['ping', [], {}],
    ['rate_limit', ['tasks.add', '10/m'], { task_name: 'tasks.add', rate_limit: '10/m' }],
    ['time_limit', ['tasks.add', '30', '60.5'], { task_name: 'tasks.add', soft: 30, hard: 60.5 }],
    ['time_limit', ['tasks.add', '30'], { task_name: 'tasks.add', soft: 30 }],
    ['pool_grow', [], {}],
    ['pool_grow', ['3'], { n: 3 }],
    ['autoscale', ['10', '3'], { max: 10, min: 3 }],
    ['conf', ['yes'], { with_defaults: true }],
    ['revoke', ['a', 'b'], { task_id: ['a', 'b'] }],
    ['query_task', [], { ids: [] }],
    ['terminate', ['SIGKILL', 'a', 'b'], { signal: 'SIGKILL', task_id: ['a', 'b'] }],
    ['revoke_by_stamped_headers', ['k=v'], { headers: ['k=v'] }],
    [
      'add_consumer',
      ['q', 'ex', 'topic', 'rk.#'],
      { queue: 'q', exchange: 'ex', exchange_type: 'topic', routing_key: 'rk.#' },
    ],
    ['objgraph', ['Task', '5'], { type: 'Task', num: 5 }],
  ])('%s %j are %j', (name, words, expected) => {
    expect(fromWords(name, ...words)).toEqual(expected);
  });

  it.each<[CommandName, string[], RegExp]>([
    ['ping', ['what'], /'what' is one word too many: ping takes no arguments/],
    ['pool_grow', ['many'], /'many' is not a whole number \(n\): pool_grow takes \[N=1\]/],
    ['pool_grow', ['1e3'], /whole number/],
    ['time_limit', ['tasks.add', ''], /'' is not a number/],
    ['conf', ['maybe'], /true or false/],
    ['rate_limit', ['tasks.add'], /rate_limit missing: rate_limit takes <task_name>/],
    ['rate_limit', [], /task_name and rate_limit missing/],
    ['add_consumer', ['q', 'e', 't', 'k', 'x'], /one word too many/],
  ])('%s %j are refused', (name, words, problem) => {
    expect(() => fromWords(name, ...words)).toThrow(problem);
    expect(() => fromWords(name, ...words)).toThrow(ArgumentsInvalid);
  });
});

describe('arguments from the wire', () => {
  it('get their defaults, and null without one', () => {
    expect(check('revoke', { task_id: 'a' })).toEqual({ task_id: 'a', terminate: false, signal: 'SIGTERM' });
    expect(check('time_limit', { task_name: 't', soft: null })).toEqual({ task_name: 't', soft: null, hard: null });
  });

  it('keep what the command does not know, as workers of Celery do', () => {
    expect(check('add_consumer', { queue: 'q', queue_arguments: { 'x-max-length': 5 } })).toMatchObject({
      queue_arguments: { 'x-max-length': 5 },
    });
    expect(check('ping', { bogus: 1 })).toEqual({ bogus: 1 });
  });

  it.each<[CommandName, Record<string, unknown>, RegExp]>([
    ['rate_limit', { bogus: 1 }, /rate_limit: missing argument 'task_name'; missing argument 'rate_limit'/],
    ['rate_limit', { task_name: ['x'], rate_limit: 1 }, /'task_name' must be a text/],
    ['pool_grow', { n: '3' }, /'n' must be a whole number/],
    ['pool_grow', { n: 1e300 }, /whole number/],
    ['time_limit', { task_name: 't', soft: Number.NaN }, /'soft' must be a number/],
    ['hello', { from_node: 7, revoked: [] }, /'from_node' must be a text/],
    ['registered', { taskinfoitems: 'rate_limit' }, /must be a list/],
    ['revoke', { task_id: 'a', terminate: 'yes' }, /true or false/],
  ])('%s %j are refused', (name, given, problem) => {
    expect(() => check(name, given)).toThrow(problem);
  });

  it('reach no prototype', () => {
    const checked = check('ping', JSON.parse('{"__proto__": {"polluted": true}}'));
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
    expect(Object.getPrototypeOf(checked)).toBeNull();
  });
});
