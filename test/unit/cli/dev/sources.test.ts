import { describe, expect, it } from 'vitest';
import { changedFiles, importedFiles, isCodeFile, isSkipped } from '../../../../src/cli/dev/sources.ts';

async function imported(
  files: Readonly<Record<string, string>>,
  entry = '/app/tasks.ts',
): Promise<[string[], boolean]> {
  const found = await importedFiles([entry], async (path) => files[path]);
  return [[...found.files].sort(), found.isOpen];
}

describe('what an app imports', () => {
  it('is found step by step, in every form of import, TypeScript spelling and folder', async () => {
    const files = {
      '/app/tasks.ts': `import { a } from './a.js';\nexport * from "../shared/b";\nimport './side.mjs'; import 'celery-ts';`,
      '/app/a.ts': `const c = require('./c'); import settings from './settings.json' with { type: 'json' };`,
      '/app/c/index.cts': `import('./d.ts')`,
      '/app/c/d.ts': `import type { A } from '../a.ts';`,
      '/app/settings.json': '{ "from": "./no.ts" }',
      '/app/side.mjs': '',
      '/shared/b.mts': '',
      '/app/no.ts': '',
    };
    const { '/app/no.ts': _, ...expected } = files;
    expect(await imported(files)).toEqual([Object.keys(expected).sort(), false]);
  });

  it.each([
    ['a module that is named at run time', 'await import(path);'],
    ['an alias of package.json', "import { db } from '#db';"],
    ['modules that settings name', "new Celery('x', { include: ['proj.tasks'] })"],
    ['modules of packages', "app.autodiscoverTasks(['orders']);"],
  ])('is not told by %s', async (_what, text) => {
    expect((await imported({ '/app/tasks.ts': text }))[1]).toBe(true);
  });

  it('may be in a circle, and lack a file', async () => {
    const files = { '/app/tasks.ts': `import './a.ts'; import './gone.ts';`, '/app/a.ts': `import './tasks.ts';` };
    expect(await imported(files)).toEqual([['/app/a.ts', '/app/tasks.ts'], false]);
  });
});

describe('sources', () => {
  it('have changed when they are new, gone or written', () => {
    const before = new Map([
      ['a', '1'],
      ['b', '1'],
      ['c', '1'],
    ]);
    const after = new Map([
      ['a', '1'],
      ['b', '2'],
      ['d', '1'],
    ]);
    expect(changedFiles(before, after)).toEqual(['b', 'c', 'd']);
    expect(changedFiles(before, before)).toEqual([]);
  });

  it('are code, outside of node_modules and hidden folders', () => {
    expect(['a.ts', 'a.mjs', 'a.tsx', 'a.json', 'a.log', 'celerybeat-schedule'].filter(isCodeFile)).toEqual([
      'a.ts',
      'a.mjs',
      'a.tsx',
    ]);
    expect(['node_modules', '.git', 'src', 'dist'].filter(isSkipped)).toEqual(['node_modules', '.git']);
  });
});
