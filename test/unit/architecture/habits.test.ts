/**
 * Habits that keep the house testable: the outside world is handed in, state has an owner, exports have names.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../../support/build.ts';
import { lineOf, type SourceFile, sourceFiles } from '../../support/sources.ts';

const files = sourceFiles();

describe('the source', () => {
  it('meets the clock, chance, ids, the environment and the console in core/system.ts only (and at the edges)', () => {
    const isEdge = ({ path }: SourceFile): boolean => path === 'core/system.ts' || /^(cli|testing)\//.test(path);
    const world =
      /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\brandomUUID\b|\bprocess\.env\b|\bconsole\.\w+\(|\bperformance\.now\b/g;
    expect(
      hits(
        files.filter((file) => !isEdge(file)),
        world,
      ),
    ).toEqual([]);
  });

  it('keeps no state in modules', () => {
    expect(hits(files, /^(?:export )?(?:let|var) \w+/gm)).toEqual([]);
  });

  it('exports by name', () => {
    expect(hits(files, /^export \*|^export default\b/gm)).toEqual([]);
  });

  it('never waits while it is loaded, so that CommonJS can require it', () => {
    expect(hits(files, /^(?:(?:export )?(?:const|let) [^=\n]+= )?await\b|^for await\b/gm)).toEqual([]);
  });

  it('opens each file with a comment that says what it is', () => {
    const mute = files.filter(
      ({ path }) => !/^(?:#![^\n]*\n)?\/\*\*/.test(readFileSync(join(root, 'src', path), 'utf8')),
    );
    expect(mute.map(({ path }) => path)).toEqual([]);
  });
});

function hits(among: readonly SourceFile[], pattern: RegExp): string[] {
  return among.flatMap(({ path, code }) =>
    [...code.matchAll(pattern)].map((match) => `src/${path}:${lineOf(code, match.index)} ${match[0]}`),
  );
}
