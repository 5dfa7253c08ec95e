/**
 * The arrows of the house (docs/architecture.md): imports point at rooms with lower numbers, `import type` too.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../../support/build.ts';
import { importsOf, sourceFiles, withoutComments } from '../../support/sources.ts';

const floors: Readonly<Record<string, number>> = {
  core: 0,
  message: 1,
  amqp: 1,
  schedules: 1,
  broker: 1,
  results: 2,
  events: 2,
  control: 2,
  canvas: 3,
  task: 4,
  execution: 5,
  app: 6,
  worker: 7,
  beat: 7,
  monitor: 7,
  cli: 8,
  testing: 8,
  '': 9, // index.ts: what users import
};

/** Packages that stay behind one door. Drivers of result backends each belong to their backend's file. */
const doors: Readonly<Record<string, RegExp>> = {
  amqplib: /^amqp\//,
  commander: /^cli\//,
  'cron-parser': /^schedules\//,
  suncalc: /^schedules\//,
  jiti: /^app\//,
  'pino-pretty': /^cli\//,
  ioredis: /^results\/backends\/redis/,
  yaml: /^message\/serialization\//,
  msgpackr: /^message\/serialization\//,
};

const files = sourceFiles();

describe('imports', () => {
  it('are seen in each of their forms, and not in comments', () => {
    const code = withoutComments(
      [
        "import { a } from './a.ts'; // from './no.ts'",
        "import type { b } from '../b/b.ts';",
        "export { c } from './c.ts';",
        "/* import x from './no.ts' */ import './d.ts';",
        "const e = await import('./e.ts');",
        "type F = import('../f/f.ts').F;",
        "const text = 'http://no.example/*'; import g from 'g';",
      ].join('\n'),
    );
    expect(importsOf('x/y.ts', code).map(({ specifier, target, line }) => [specifier, target, line])).toEqual([
      ['./a.ts', 'x/a.ts', 1],
      ['../b/b.ts', 'b/b.ts', 2],
      ['./c.ts', 'x/c.ts', 3],
      ['./d.ts', 'x/d.ts', 4],
      ['./e.ts', 'x/e.ts', 5],
      ['../f/f.ts', 'f/f.ts', 6],
      ['g', undefined, 7],
    ]);
  });

  it('count as types when nothing of them is left in the build', () => {
    const code = [
      "import type { A } from './a.ts';",
      "import { type B, type C } from './b.ts';",
      "import { type D, e } from './d.ts';",
      "export type { F } from './f.ts';",
      "import './g.ts';",
    ].join('\n');
    expect(importsOf('x/y.ts', code).map(({ isTypeOnly }) => isTypeOnly)).toEqual([true, true, false, true, false]);
  });

  it('belong to rooms that are on the plan', () => {
    expect([...new Set(files.map(({ room }) => room))].filter((room) => !(room in floors))).toEqual([]);
  });

  it('point at rooms with lower numbers only, so that rooms of one number do not know each other', () => {
    const upwards = files.flatMap(({ path, room, imports }) =>
      imports.flatMap(({ target, line }) => {
        if (target === undefined) return [];
        const other = target.includes('/') ? (target.split('/')[0] ?? '') : '';
        const isDownwards = (floors[other] ?? 99) < (floors[room] ?? -1);
        return other === room || isDownwards ? [] : [`src/${path}:${line} → ${target}`];
      }),
    );
    expect(upwards).toEqual([]);
  });

  it('of worker/pool/ never reach the rest of the worker', () => {
    const reaching = files
      .filter(({ path }) => path.startsWith('worker/pool/'))
      .flatMap(({ path, imports }) =>
        imports
          .filter(({ target }) => target?.startsWith('worker/') === true && !target.startsWith('worker/pool/'))
          .map(({ target, line }) => `src/${path}:${line} → ${target}`),
      );
    expect(reaching).toEqual([]);
  });

  it('name a file that is there, with its extension', () => {
    const astray = files.flatMap(({ path, imports }) =>
      imports
        .filter(({ target }) => target !== undefined && !existsSync(join(root, 'src', target)))
        .map(({ specifier, line }) => `src/${path}:${line} → ${specifier}`),
    );
    expect(astray).toEqual([]);
  });

  it('form no circle of files that would meet half loaded', () => {
    const arrows = files.map(({ path, imports }): [string, string[]] => [
      path,
      imports.flatMap(({ target, isTypeOnly }) => (target === undefined || isTypeOnly ? [] : [target])),
    ]);
    expect(circle(new Map(arrows))).toEqual([]);
  });

  it('of third-party packages stay behind their door', () => {
    const astray = files.flatMap(({ path, imports }) =>
      imports
        .filter(({ specifier }) => {
          const door = doors[specifier.split('/')[0] ?? ''];
          return door !== undefined && !door.test(path);
        })
        .map(({ specifier, line }) => `src/${path}:${line} → ${specifier}`),
    );
    expect(astray).toEqual([]);
  });
});

/** The files of one circle, in order; empty when there is none. */
function circle(arrows: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const way: string[] = [];
  const walk = (file: string): string[] | undefined => {
    if (way.includes(file)) return [...way.slice(way.indexOf(file)), file];
    if (done.has(file)) return undefined;
    way.push(file);
    for (const next of arrows.get(file) ?? []) {
      const found = walk(next);
      if (found !== undefined) return found;
    }
    way.pop();
    done.add(file);
    return undefined;
  };
  for (const file of arrows.keys()) {
    const found = walk(file);
    if (found !== undefined) return found;
  }
  return [];
}
