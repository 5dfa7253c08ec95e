import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { isApp } from '../../../src/app/celery.ts';
import { autodiscover, loadExport, loadModule } from '../../../src/app/load-module.ts';
import { findApp, loadApp } from '../../../src/app/loader.ts';
import { ImproperlyConfigured } from '../../../src/core/errors.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** A folder of the user's, outside this project. */
function aFolder(files: Readonly<Record<string, string>>): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'celery-ts-loader-')));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

const find = (cwd: string, spec?: string, env: Record<string, string> = {}) => findApp(spec, { cwd, env });

const anApp = (main: string, name = 'app'): string =>
  `import { Celery } from 'celery-ts';\nexport const ${name} = new Celery('${main}');\n`;
const aCommonApp = (main: string): string =>
  `const { Celery } = require('celery-ts');\nmodule.exports = { app: new Celery('${main}') };\n`;
const typed = `import { Celery } from 'celery-ts';
enum Level { Low, High }
const main: string = \`typed \${Level[Level.High]}\`;
export const app = new Celery(main);
`;

async function problemOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    expect(error).toBeInstanceOf(ImproperlyConfigured);
    if (error instanceof Error) return error.message;
  }
  throw new Error('It was found.');
}

describe('-A', () => {
  it.each([
    ['tasks.ts', typed, 'typed High'],
    ['tasks.mts', typed, 'typed High'],
    ['tasks.js', anApp('js'), 'js'],
    ['tasks.mjs', anApp('mjs'), 'mjs'],
    ['tasks.cjs', aCommonApp('cjs'), 'cjs'],
    ['tasks.cts', aCommonApp('cts'), 'cts'],
    ['tasks/index.ts', typed, 'typed High'],
    ['tasks/celery.mjs', anApp('inside'), 'inside'],
  ])('tasks finds %s', async (file, text, main) => {
    const cwd = aFolder({ [file]: text });
    const { app, location } = await find(cwd, 'tasks');
    expect(app.main).toBe(main);
    expect(location).toMatchObject({ kind: 'app', path: join(cwd, file) });
  });

  it('finds the same app again in the same place', async () => {
    const cwd = aFolder({ 'tasks.ts': anApp('again') });
    const { app, location } = await find(cwd, 'tasks');
    expect(await loadApp(JSON.parse(JSON.stringify(location)))).toBe(app);
  });

  it('takes TypeScript before JavaScript and a file before a folder', async () => {
    const cwd = aFolder({ 'tasks.js': anApp('js'), 'tasks.ts': anApp('ts'), 'tasks/index.ts': anApp('folder') });
    expect((await find(cwd, 'tasks')).app.main).toBe('ts');
  });

  it('goes on to the next file when one has no app', async () => {
    const cwd = aFolder({ 'proj/index.ts': 'export const version = 1;', 'proj/celery.ts': anApp('celery') });
    expect((await find(cwd, 'proj')).app.main).toBe('celery');
  });

  it.each([
    ['a path', './src/tasks.ts'],
    ['a path without its extension', './src/tasks'],
    ["a path with JavaScript's extension", './src/tasks.js'],
    ['a path without a dot', 'src/tasks.ts'],
    ['a dotted name', 'src.tasks'],
    ['a path and an export', './src/tasks.ts:app'],
    ['a dotted name and an export', 'src.tasks:app'],
    ['a dotted name with the export, as in Python', 'src.tasks.app'],
  ])('takes %s', async (_, spec) => {
    expect((await find(aFolder({ 'src/tasks.ts': anApp('found') }), spec)).app.main).toBe('found');
  });

  it('takes an absolute path and a file URL', async () => {
    const cwd = aFolder({ 'tasks.mjs': anApp('found') });
    expect((await find('/', join(cwd, 'tasks.mjs'))).app.main).toBe('found');
    expect((await find('/', `file://${join(cwd, 'tasks.mjs')}`)).app.main).toBe('found');
  });

  it('finds a package', async () => {
    const cwd = aFolder({
      'node_modules/shop-tasks/package.json':
        '{ "name": "shop-tasks", "type": "module", "exports": { "import": "./lib/main.js" } }',
      'node_modules/shop-tasks/lib/main.js': anApp('shop'),
    });
    expect((await find(cwd, 'shop-tasks')).app.main).toBe('shop');
  });

  it('lists what it tried, with the file that may have been meant', async () => {
    const cwd = aFolder({ 'tasks.ts': anApp('x'), 'other.ts': '' });
    expect(await problemOf(find(cwd, 'taks'))).toBe(
      "No app found for -A taks. Tried: ./taks.{ts,mts,cts,js,mjs,cjs}, ./taks/index.{ts,mts,cts,js,mjs,cjs}, ./taks/celery.{ts,mts,cts,js,mjs,cjs}, the package 'taks'. Did you mean ./tasks.ts?",
    );
    expect(await problemOf(find(cwd, './missing.ts'))).toBe('No app found for -A ./missing.ts. Tried: ./missing.ts.');
  });
});

describe('the export', () => {
  it.each([
    ['app', `${anApp('right')}export const other = new Celery('wrong');`],
    ['celery', `${anApp('right', 'celery')}export const other = new Celery('wrong');`],
    [
      'default',
      "import { Celery } from 'celery-ts';\nexport const other = new Celery('wrong');\nexport default new Celery('right');",
    ],
    ['tasksApp', `${anApp('right', 'tasksApp')}export const app = { listen() {} };`],
    ['app', "import { Celery } from 'celery-ts';\nexport default { app: new Celery('right') };"],
  ])('%s is taken', async (exportName, text) => {
    const { app, location } = await find(aFolder({ 'tasks.ts': text }), 'tasks');
    expect([app.main, location]).toEqual(['right', expect.objectContaining({ exportName })]);
    expect(await loadApp(location)).toBe(app);
  });

  it('may be the whole of a CommonJS module', async () => {
    const cwd = aFolder({
      'tasks.cjs': "const { Celery } = require('celery-ts');\nmodule.exports = new Celery('whole');",
    });
    const { app, location } = await find(cwd, 'tasks');
    expect(app.main).toBe('whole');
    expect(await loadApp(location)).toBe(app);
  });

  it('has to be named when there are several', async () => {
    const cwd = aFolder({ 'tasks.ts': `${anApp('a', 'first')}export const second = new Celery('b');` });
    expect(await problemOf(find(cwd, 'tasks'))).toBe(
      './tasks.ts has several apps: first, second. Say which: -A ./tasks.ts:first',
    );
    expect((await find(cwd, 'tasks:second')).app.main).toBe('b');
  });

  it('that is named and missing is reported with what is there', async () => {
    const cwd = aFolder({ 'tasks.ts': anApp('x', 'shopApp') });
    expect(await problemOf(find(cwd, 'tasks:shopAp'))).toBe(
      "./tasks.ts has no export 'shopAp'; its exports: shopApp. Did you mean 'shopApp'?",
    );
  });

  it('that is no app is reported', async () => {
    const cwd = aFolder({ 'tasks.ts': 'export const app = 7;\nexport const add = () => 1;' });
    expect(await problemOf(find(cwd, 'tasks:app'))).toBe(
      "The export 'app' of ./tasks.ts is no Celery app: make it with new Celery(…).",
    );
    expect(await problemOf(find(cwd, 'tasks'))).toContain('./tasks.ts (exports no Celery app, only: add, app)');
  });
});

describe('without -A', () => {
  const files = {
    'celery.ts': anApp('celery'),
    'celeryconfig.ts': "export const brokerUrl = 'amqp://config';",
    'tasks.ts': anApp('tasks'),
    'other.ts': anApp('other'),
  };

  it('goes by CELERY_APP, then package.json, then celery, celeryconfig and tasks', async () => {
    const packaged = { ...files, 'package.json': '{ "type": "module", "celery": { "app": "./tasks.ts" } }' };
    expect((await find(aFolder(packaged), undefined, { CELERY_APP: 'other' })).app.main).toBe('other');
    expect((await find(aFolder(packaged))).app.main).toBe('tasks');
    expect((await find(aFolder(files))).app.main).toBe('celery');
    const { 'celery.ts': _, ...withoutCelery } = files;
    expect((await find(aFolder(withoutCelery))).location.kind).toBe('config');
    expect((await find(aFolder({ 'tasks.mjs': anApp('tasks') }))).app.main).toBe('tasks');
  });

  it('finds package.json above the folder, and the app beside it', async () => {
    const cwd = aFolder({
      'package.json': '{ "celery": { "app": "tasks:app" } }',
      'tasks.ts': anApp('above'),
      'deep/er/x.txt': '',
    });
    expect((await find(join(cwd, 'deep', 'er'))).app.main).toBe('above');
  });

  it('makes an app of a plain config module, and the same of its location', async () => {
    const cwd = aFolder({
      'celeryconfig.ts': "export const broker_url = 'amqp://config';\nexport const task_time_limit = 3;",
    });
    const { app, location } = await find(cwd);
    expect(app.conf).toMatchObject({ brokerUrl: 'amqp://config', taskTimeLimit: 3 });
    expect((await loadApp(location)).conf.brokerUrl).toBe('amqp://config');
  });

  it('takes the config module that CELERY_CONFIG_MODULE names', async () => {
    const cwd = aFolder({
      'conf/prod.mjs': "export default { brokerUrl: 'amqp://prod' };",
      'celeryconfig.ts': 'export const brokerUrl = 7;',
    });
    const { app } = await find(cwd, undefined, { CELERY_CONFIG_MODULE: 'conf.prod' });
    expect(app.conf.brokerUrl).toBe('amqp://prod');
  });

  it('names the config module in its problems', async () => {
    const cwd = aFolder({ 'celeryconfig.ts': 'export const taskAckLate = true;' });
    expect(await problemOf(find(cwd))).toMatch(
      /'taskAckLate' is unknown; did you mean 'taskAcksLate'\? \(in .*celeryconfig\.ts\)/,
    );
  });

  it('lists what it tried', async () => {
    const cwd = aFolder({});
    expect(await problemOf(find(cwd))).toBe(
      `No app found in ${cwd}. Tried: -A, CELERY_APP, "celery": { "app": … } in package.json, ./celery.{ts,js,…}, ./celeryconfig.{ts,js,…}, ./tasks.{ts,js,…}. Say where it is: -A ./tasks.ts`,
    );
  });

  it('says where a wrong name came from', async () => {
    const cwd = aFolder({ 'package.json': '{ "celery": { "app": "./nope.ts" } }' });
    expect(await problemOf(find(cwd))).toContain(
      'No app found for "celery": { "app": "./nope.ts" } in ./package.json.',
    );
    expect(await problemOf(find(cwd, undefined, { CELERY_APP: 'nope' }))).toContain(
      'No app found for CELERY_APP=nope.',
    );
  });
});

/** Columns of what went wrong while TypeScript ran are those of the JavaScript made of it; lines are the user's. */
describe('what goes wrong in a module is one line with file, line and column', () => {
  const broken = 'const a = 1;\nconst = 3;\n';

  it.each<[string, Record<string, string>, string]>([
    [
      'a syntax error in TypeScript',
      { 'tasks.ts': broken },
      'Cannot load ./tasks.ts:2:7: Unexpected token (syntax error)',
    ],
    ['a syntax error in JavaScript', { 'tasks.mjs': broken }, 'Cannot load ./tasks.mjs:2:7: Unexpected token'],
    ['a syntax error in CommonJS', { 'tasks.cjs': broken }, 'Cannot load ./tasks.cjs:2:7: Unexpected token'],
    [
      'a syntax error in an imported file',
      { 'tasks.ts': "import './deep/other.ts';\nexport {};", 'deep/other.ts': broken },
      'Cannot load ./tasks.ts, because of ./deep/other.ts:2:7: Unexpected token',
    ],
    [
      'a package that is not installed',
      { 'tasks.ts': "import { x } from 'celery-ts';\nimport _ from 'lodahs/fp';\nexport default _(x);" },
      "Cannot load ./tasks.ts:2:16: Cannot find 'lodahs/fp'; is it installed? Try: npm install lodahs.",
    ],
    [
      'a file that is not there',
      { 'tasks.mjs': "import { x } from './other.mjs';\nexport default x;" },
      "Cannot load ./tasks.mjs:1:20: Cannot find './other.mjs'; there is no such file.",
    ],
    [
      'a file that another does not find',
      { 'tasks.ts': "import './a.ts';\nexport {};", 'a.ts': "\nimport './b.ts';" },
      "Cannot load ./tasks.ts, because of ./a.ts:2:9: Cannot find './b.ts'; there is no such file.",
    ],
    [
      'an error while it runs',
      { 'tasks.ts': 'interface A { b: { c: number } }\nconst a = {} as A;\n\nexport const c = a.b.c;' },
      "Cannot load ./tasks.ts:4:27: TypeError: Cannot read properties of undefined (reading 'c')",
    ],
    [
      'a setting that is none',
      {
        'tasks.ts':
          "import { Celery } from 'celery-ts';\nexport const app = new Celery('x', {\n  taskAckLate: true,\n} as never);",
      },
      "./tasks.ts:2:27: Setting 'taskAckLate' is unknown; did you mean 'taskAcksLate'?",
    ],
    ['something thrown that is no error', { 'tasks.ts': "throw 'no reason';" }, 'Cannot load ./tasks.ts: no reason'],
  ])('for %s', async (_, files, problem) => {
    const message = await problemOf(find(aFolder(files), 'tasks'));
    expect(message).toContain(problem);
    expect(message).not.toContain('\n');
  });

  it('keeps the error itself as the cause', async () => {
    const cwd = aFolder({ 'tasks.ts': "throw new RangeError('too far');" });
    await expect(find(cwd, 'tasks')).rejects.toMatchObject({ cause: expect.objectContaining({ message: 'too far' }) });
  });
});

describe('modules by name', () => {
  it('are config modules, tasks to include, anything', async () => {
    const cwd = aFolder({
      'conf/dev.ts': 'export const brokerUrl: string = "amqp://dev";',
      'plain.cjs': 'module.exports = { a: 1 };',
    });
    for (const name of ['./conf/dev.ts', './conf/dev', 'conf.dev', 'conf/dev']) {
      expect((await loadModule(name, { cwd })).brokerUrl).toBe('amqp://dev');
    }
    expect((await loadModule('plain', { cwd })).a).toBe(1);
    expect(await problemOf(loadModule('conf.prod', { cwd }))).toContain(
      "No module 'conf.prod' found. Tried: ./conf.prod.{ts,",
    );
  });

  it('are evaluated once, and import the app that was found', async () => {
    const cwd = aFolder({
      'celery.ts': anApp('one'),
      'more.ts':
        "import { app } from './celery';\nexport const add = app.task('more.add', (x: number, y: number) => x + y);",
    });
    const { app } = await find(cwd);
    await loadModule('./more', { cwd });
    expect(app.tasks.has('more.add')).toBe(true);
  });

  it('may name an export', async () => {
    const cwd = aFolder({ 'proj/routes.ts': 'export const route = () => "low";' });
    for (const path of ['./proj/routes.ts:route', 'proj.routes:route', 'proj.routes.route']) {
      expect(await loadExport(path, { cwd })).toBeTypeOf('function');
    }
    expect(await problemOf(loadExport('proj.routes:rout', { cwd }))).toContain(
      "has no export 'rout'; its exports: route.",
    );
    expect(await problemOf(loadExport('routes', { cwd }))).toContain("write it as 'module:export'");
  });

  it('are discovered in packages that have them', async () => {
    const cwd = aFolder({
      'shop/tasks.ts': 'globalThis.discovered = [...(globalThis.discovered ?? []), "shop"];',
      'billing/index.ts': 'export {};',
      'mail/jobs.ts': 'globalThis.discovered = [...(globalThis.discovered ?? []), "mail"];',
      'node_modules/remote/tasks.js': 'globalThis.discovered = [...(globalThis.discovered ?? []), "remote"];',
    });
    const pathsOf = async (names: string[], relatedName?: string | null): Promise<string[]> =>
      (await autodiscover(names, { cwd, relatedName })).map(({ path }) => path);
    expect(await pathsOf(['shop', './billing', 'remote'])).toEqual([
      join(cwd, 'shop/tasks.ts'),
      join(cwd, 'node_modules/remote/tasks.js'),
    ]);
    expect(await pathsOf(['mail'], 'jobs')).toEqual([join(cwd, 'mail/jobs.ts')]);
    expect(await pathsOf(['billing'], null)).toEqual([join(cwd, 'billing/index.ts')]);
    expect(Reflect.get(globalThis, 'discovered')).toEqual(['shop', 'remote', 'mail']);
    Reflect.deleteProperty(globalThis, 'discovered');
    expect(await problemOf(autodiscover(['shopp'], { cwd }))).toContain("autodiscoverTasks: no package 'shopp'.");
  });
});

describe('an app', () => {
  it('is known by its brand, whichever copy made it', () => {
    expect(isApp({ [Symbol.for('celery-ts.app')]: true })).toBe(true);
    expect([isApp({}), isApp(null), isApp('app'), isApp(() => 1)]).toEqual([false, false, false, false]);
  });
});
