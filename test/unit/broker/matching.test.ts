import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createMatcher, type Keyed } from '../../../src/broker/matching.ts';
import { emptyTable } from '../../../src/broker/wire/field-table.ts';

function aBinding(routingKey: string): Keyed {
  return { routingKey, arguments: emptyTable };
}

function matched(patterns: readonly string[], key: string): string[] {
  const matcher = createMatcher('topic');
  for (const pattern of patterns) matcher.add(aBinding(pattern));
  const found: Keyed[] = [];
  matcher.match(key, () => emptyTable, found);
  return found.map(({ routingKey }) => routingKey);
}

/** The rules of topic exchanges as one would write them down first. */
function takes(pattern: readonly string[], key: readonly string[]): boolean {
  const [word, ...rest] = pattern;
  if (word === undefined) return key.length === 0;
  if (word === '#') return takes(rest, key) || (key.length > 0 && takes(pattern, key.slice(1)));
  return key.length > 0 && (word === '*' || word === key[0]) && takes(rest, key.slice(1));
}

const split = (text: string): string[] => (text === '' ? [] : text.split('.'));
const pattern = fc
  .array(fc.constantFrom('a', 'b', 'c', '', '*', '#'), { maxLength: 6 })
  .map((words) => words.join('.'));
const key = fc.array(fc.constantFrom('a', 'b', 'c', '', 'd'), { maxLength: 6 }).map((words) => words.join('.'));

describe('The topic trie', () => {
  it('finds what the rules say, each binding once', () => {
    fc.assert(
      fc.property(fc.uniqueArray(pattern, { maxLength: 12 }), key, (patterns, given) => {
        const expected = patterns.filter((each) => takes(split(each), split(given)));
        expect(matched(patterns, given).sort()).toEqual(expected.sort());
      }),
      { numRuns: 1000 },
    );
  });

  it('forgets what is removed, and nothing else', () => {
    fc.assert(
      fc.property(fc.uniqueArray(pattern, { minLength: 1, maxLength: 8 }), key, (patterns, given) => {
        const matcher = createMatcher('topic');
        const bindings = patterns.map(aBinding);
        for (const binding of bindings) matcher.add(binding);
        const [removed, ...rest] = bindings;
        if (removed !== undefined) matcher.remove(removed);
        const found: Keyed[] = [];
        matcher.match(given, () => emptyTable, found);
        const expected = rest.filter(({ routingKey }) => takes(split(routingKey), split(given)));
        expect(new Set(found)).toEqual(new Set(expected));
      }),
    );
  });

  it('does not lose itself in patterns of many hashes', () => {
    const hashes = Array.from({ length: 20 }, () => '#').join('.a.');
    const long = Array.from({ length: 120 }, () => 'a').join('.');
    const started = performance.now();
    expect(matched([hashes], long)).toEqual([hashes]);
    expect(matched([`${hashes}.b`], long)).toEqual([]);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});
