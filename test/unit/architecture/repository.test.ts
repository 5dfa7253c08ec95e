/**
 * What must not slip into the repository.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../../support/build.ts';

describe('the repository', () => {
  it('locks versions without the addresses they came from, so that any registry will do', () => {
    const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
    expect(lock.match(/"resolved": "[^"]*:\/\/[^"]*"/g) ?? []).toEqual([]);
    expect(lock).toContain('"integrity"');
  });

  it('exports what package.json promises from files that the build makes', () => {
    const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      exports: Record<string, string | { types: string; default: string }>;
    };
    const entries = Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [] : [entry]));
    expect(entries.length).toBeGreaterThanOrEqual(3);
    for (const entry of entries) {
      const source = entry.default.replace('./dist/', 'src/').replace(/\.js$/, '.ts');
      expect(readFileSync(join(root, source), 'utf8')).toContain('export');
      expect(entry.types).toBe(entry.default.replace(/\.js$/, '.d.ts'));
    }
  });

  it('has every file that docs/architecture.md leads to', () => {
    const page = readFileSync(join(root, 'docs', 'architecture.md'), 'utf8');
    const places = new Set([...page.matchAll(/(?:[a-z-]+\/)+[a-z-]+(?:\.[a-z]+)*\.ts/g)].map(([path]) => path));
    const isThere = (path: string): boolean => [join(root, 'src', path), join(root, path)].some((at) => existsSync(at));
    expect(places.size).toBeGreaterThan(10);
    expect([...places].filter((path) => !isThere(path))).toEqual([]);
  });
});
