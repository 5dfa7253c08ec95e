import { mkdir, mkdtemp, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SourceWatch } from '../../../../src/cli/dev/watch.ts';
import { nodeSystem } from '../../../../src/core/system.ts';

/** A folder of sources that is watched. */
async function world(files: Readonly<Record<string, string>>, given: { pollMs?: number; always?: string[] } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'celery-ts-watch-'));
  const at = (path: string): string => join(folder, path);
  const write = async (path: string, text = 'x'): Promise<void> => {
    await mkdir(dirname(at(path)), { recursive: true });
    await writeFile(at(path), text);
  };
  for (const [path, text] of Object.entries(files)) await write(path, text);
  const { pollMs, always = [] } = given;
  const watch = await SourceWatch.open({
    folders: [at('app')],
    always: always.map(at),
    pollMs,
    system: nodeSystem(),
  });
  const next = async (which: 'imported' | 'any' = 'imported'): Promise<string[]> =>
    (await watch.next(AbortSignal.timeout(20_000), which)).map((path) => relative(folder, path));
  const close = async (): Promise<void> => {
    watch.close();
    await rm(folder, { recursive: true, force: true });
  };
  return { at, write, watch, next, [Symbol.asyncDispose]: close };
}

describe('sources that are watched', () => {
  it('tell when one is written, replaced, new in a new folder, or gone', async () => {
    await using app = await world({ 'app/tasks.ts': 'x', 'app/jobs/mail.ts': 'x' });
    await app.write('app/tasks.ts', 'other');
    expect(await app.next()).toEqual(['app/tasks.ts']);
    await app.write('app/tasks.ts~', 'as editors save');
    await rename(app.at('app/tasks.ts~'), app.at('app/tasks.ts'));
    expect(await app.next()).toEqual(['app/tasks.ts']);
    await app.write('app/deep/down/new.mjs');
    expect(await app.next()).toEqual(['app/deep/down/new.mjs']);
    await app.write('app/deep/down/new.mjs', 'again');
    expect(await app.next()).toEqual(['app/deep/down/new.mjs']);
    await rm(app.at('app/jobs'), { recursive: true });
    expect(await app.next()).toEqual(['app/jobs/mail.ts']);
    await app.write('app/jobs/mail.ts', 'a folder of the same name');
    expect(await app.next()).toEqual(['app/jobs/mail.ts']);
    await app.write('app/jobs/mail.ts', 'and it is watched');
    expect(await app.next()).toEqual(['app/jobs/mail.ts']);
  });

  it('tell of each file once, and of nothing that is no code', async () => {
    await using app = await world({ 'app/tasks.ts': 'x', 'app/node_modules/a/index.js': 'x', 'app/.git/x.js': 'x' });
    await app.write('app/node_modules/a/index.js', 'other');
    await app.write('app/.git/x.js', 'other');
    await app.write('app/notes.log', 'other');
    await app.write('app/celerybeat-schedule', 'other');
    await Promise.all(['one', 'two', 'three'].map((name) => app.write(`app/${name}.ts`)));
    const told: string[] = [];
    while (told.length < 3) told.push(...(await app.next()));
    expect(told.sort()).toEqual(['app/one.ts', 'app/three.ts', 'app/two.ts']);
  });

  it('are what the app imports, outside of its folder too, once that is known', async () => {
    const tasks = `import '../shared/db.ts'; import settings from './settings.json';`;
    await using app = await world({
      'app/tasks.ts': tasks,
      'app/web.ts': 'x',
      'app/settings.json': '{}',
      'app/data.json': '{}',
      'shared/db.ts': 'x',
    });
    await app.watch.follow([app.at('app/tasks.ts')]);
    expect(app.watch.sentence).toBe('3 files');
    await app.write('app/web.ts', 'other');
    await app.write('app/data.json', 'other');
    await app.write('shared/db.ts', 'other');
    expect(await app.next()).toEqual(['shared/db.ts']);
    await app.write('app/settings.json', '{"a":1}');
    expect(await app.next()).toEqual(['app/settings.json']);
    await app.write('app/missing.ts', 'what a failed start may lack');
    expect(await app.next('any')).toEqual(['app/missing.ts']);
  });

  it('are all code here when imports cannot be read, and always what was named', async () => {
    await using app = await world(
      { 'app/tasks.ts': 'import(name)', 'more/data.csv': 'x' },
      { always: ['more/data.csv'] },
    );
    await app.watch.follow([app.at('app/tasks.ts')]);
    await app.write('app/job.ts');
    expect(await app.next()).toEqual(['app/job.ts']);
    await app.write('more/data.csv', 'other');
    expect(await app.next()).toEqual(['more/data.csv']);
  });

  it('are looked at from time to time where the system tells nothing', async () => {
    await using app = await world({ 'app/tasks.ts': 'x' }, { pollMs: 20 });
    await utimes(app.at('app/tasks.ts'), 1, 1);
    expect(await app.next()).toEqual(['app/tasks.ts']);
  });
});
