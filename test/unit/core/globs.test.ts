import { describe, expect, it } from 'vitest';
import { isGlob, matchesGlob } from '../../../src/core/globs.ts';

describe('matchesGlob', () => {
  it.each<[string, string, boolean]>([
    ['tasks.*', 'tasks.add', true],
    ['tasks.*', 'tasks.', true],
    ['tasks.*', 'task.add', false],
    ['*', '', true],
    ['*', 'anything', true],
    ['*.add', 'tasks.add', true],
    ['*.add', 'tasks.adds', false],
    ['a*b*c', 'aXbYc', true],
    ['a*b*c', 'aXcYb', false],
    ['a**c', 'abc', true],
    ['?.add', 'x.add', true],
    ['?.add', '.add', false],
    ['[ab].x', 'a.x', true],
    ['[ab].x', 'c.x', false],
    ['[!ab].x', 'c.x', true],
    ['[!ab].x', 'a.x', false],
    ['[a-c]1', 'b1', true],
    ['[a-c]1', 'd1', false],
    ['[a-]1', '-1', true],
    ['[]]', ']', true],
    ['[!]]', ']', false],
    ['[!]]', 'x', true],
    ['[', '[', true],
    ['[ab', '[ab', true],
    ['[*]', '*', true],
    ['[*]', 'x', false],
    ['tasks.add', 'tasks.add', true],
    ['tasks.add', 'Tasks.add', false],
    ['.*', 'xy', false],
    ['', '', true],
    ['', 'x', false],
    ['x', '', false],
  ])('%j and %j: %s', (pattern, text, matches) => {
    expect(matchesGlob(pattern, text)).toBe(matches);
  });

  it('takes time by length, not by stars', () => {
    const start = performance.now();
    expect(matchesGlob(`${'*a'.repeat(50)}b`, 'a'.repeat(10_000))).toBe(false);
    expect(matchesGlob('*a*a*a*a*a*a*a*b', 'a'.repeat(10_000))).toBe(false);
    expect(performance.now() - start).toBeLessThan(100);
  });
});

it('knows a pattern from a name', () => {
  expect(['a*', 'a?', 'a[b]'].every(isGlob)).toBe(true);
  expect(['tasks.add', 'a]'].some(isGlob)).toBe(false);
});
