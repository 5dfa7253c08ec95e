/**
 * The parity map can be trusted: every row of Celery's tables has an entry, and what is called done has its test.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Entry, problemsOf, readMap, titlesIn } from '../../../scripts/parity/map.ts';
import { pageOf } from '../../../scripts/parity/page.ts';
import { keysOf, root, tableNames } from '../../../scripts/parity/rows.ts';

describe('the parity map', () => {
  it('has an entry for every row of the tables, and every test it names is there', () => {
    expect(problemsOf(readMap())).toEqual([]);
  });

  it('is what docs/parity.md shows', () => {
    expect(readFileSync(join(root, 'docs', 'parity.md'), 'utf8') === pageOf(readMap()), 'run `npm run parity`').toBe(
      true,
    );
  });

  it('counts each row of the inventory', () => {
    const count = Object.fromEntries(tableNames.map((name) => [name, keysOf(name).length]));
    expect(count).toMatchObject({
      config: 224,
      'task-options': 169,
      signals: 38,
      routing: 49,
      control: 32,
      events: 15,
    });
    expect(new Set(tableNames.flatMap(keysOf)).size).toBe(tableNames.flatMap(keysOf).length);
  });

  const self = 'test/unit/architecture/parity.test.ts';
  const events = keysOf('events');
  const problemsWith = (entry: unknown): string[] =>
    problemsOf(new Map([['events', Object.fromEntries(events.map((key) => [key, entry as Entry]))]]));

  it.each([
    ['done without a test', { status: 'done' }, /names no test/],
    ['done by a file that is not there', { status: 'done', test: 'test/unit/no.test.ts#x' }, /there is no test file/],
    [
      'done by a title that is not there',
      { status: 'done', test: `${self}#no such ${'title'}` },
      /has no test with the title/,
    ],
    ['partial without saying what is missing', { status: 'partial', missing: '' }, /does not say what is missing/],
    ['planned for a step beyond the plan', { status: 'planned', step: 12 }, /planned for no step/],
    ['not applicable without a reason', { status: 'not-applicable' }, /does not say why/],
    ['of an unknown status', { status: 'soon' }, /unknown status/],
    ['with a field that its status does not have', { status: 'planned', step: 1, test: 'x' }, /has no field 'test'/],
  ])('refuses an entry %s', (_, entry, problem) => {
    expect(problemsWith(entry)[0]).toMatch(problem);
  });

  it('takes an entry whose test is there', () => {
    expect(problemsWith({ status: 'done', test: `${self}#takes an entry whose test is there` })).toEqual([]);
    expect(problemsWith({ status: 'done', test: `${self}#refuses an entry %s` })).toEqual([]);
  });

  it('names a row that is missing and a key that is no row', () => {
    const [first, ...others] = events;
    const entries = Object.fromEntries(
      [...others, 'event:none'].map((key) => [key, { status: 'planned', step: 7 } as const]),
    );
    expect(problemsOf(new Map([['events', entries]]))).toEqual([
      `${first}: missing (run \`npm run parity\`)`,
      'event:none: no row of test/spec/events.json has this key',
    ]);
  });

  it('reads titles in each form', () => {
    const code = [
      "it('plain', () => {",
      "it.each([['it(\\'inner\\')', 1]])('of %s', (a) => {",
      'test(`ticks`, async () => {',
      "it.skipIf(process.platform === 'win32')('where it can', () => {",
      'it("says \\"hello\\"", () => {',
      "it.each<[string, { a: number }]>([\n  [1, 2],\n])(\n  'many lines %s',\n  () => {",
    ].join('\n');
    for (const title of ['plain', 'of %s', 'ticks', 'where it can', 'says "hello"', 'many lines %s']) {
      expect([...titlesIn(code)]).toContain(title);
    }
  });
});
