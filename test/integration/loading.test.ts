/** The built package, in a process of its own: whichever file the user has, it meets the copy that runs. */
import { execFile } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);
let world: string;
/** A folder with the package in `node_modules`, one without, and one with another copy of it. */
let installed: string;
let bare: string;
let other: string;

beforeAll(() => {
  world = realpathSync(mkdtempSync(join(tmpdir(), 'celery-ts-loading-')));
  installed = withTasks(join(world, 'installed'));
  install(installed);
  bare = withTasks(join(world, 'bare'));
  other = withTasks(join(world, 'other'));
  install(other);
});

afterAll(() => rmSync(world, { recursive: true }));

function install(folder: string): void {
  const target = join(folder, 'node_modules', 'celery-ts');
  mkdirSync(target, { recursive: true });
  cpSync(join(root, 'dist'), join(target, 'dist'), { recursive: true });
  cpSync(join(root, 'bin'), join(target, 'bin'), { recursive: true });
  cpSync(join(root, 'package.json'), join(target, 'package.json'));
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (!name.startsWith('.')) symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules', name));
  }
}

function withTasks(folder: string): string {
  const modern = "import { Celery } from 'celery-ts';\nexport const app = new Celery('t');\n";
  const common = "const { Celery } = require('celery-ts');\nmodule.exports = { app: new Celery('t') };\n";
  const typed = "export const add = app.task('add', (x: number, y: number): number => x + y);\n";
  const files = {
    'plain.ts': modern + typed,
    'plain.mts': modern + typed,
    'plain.cts': common,
    'plain.js': modern,
    'plain.mjs': modern,
    'plain.cjs': common,
    'main.mjs': modern,
    'more.ts': "import { app } from './main.mjs';\napp.task('more', (x: number) => x);\nexport { app };\n",
    'script/package.json': '{ "type": "module" }',
    'script/tasks.js': modern,
  };
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

/** Loads each file of `folder` with the package installed in `installed`; says whose `Celery` its app is. */
async function loadAll(folder: string, specs: readonly string[]): Promise<unknown> {
  const dist = join(installed, 'node_modules', 'celery-ts', 'dist');
  const program = `
    import { findApp, loadApp } from ${JSON.stringify(join(dist, 'app', 'loader.js'))};
    import { Celery } from ${JSON.stringify(join(dist, 'index.js'))};
    const seen = {};
    for (const spec of ${JSON.stringify(specs)}) {
      const { app, location } = await findApp(spec, { cwd: ${JSON.stringify(folder)}, env: {} });
      seen[spec] = !(app instanceof Celery) ? 'another copy' : (await loadApp(location)) === app ? 'ours, once' : 'loaded twice';
    }
    const main = await findApp('./main.mjs', { cwd: ${JSON.stringify(folder)}, env: {} });
    const more = await findApp('./more.ts', { cwd: ${JSON.stringify(folder)}, env: {} });
    seen.more = main.app === more.app && main.app.tasks.has('more') ? 'ours, once' : 'another app';
    console.log(JSON.stringify(seen));
  `;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], { cwd: folder });
  return JSON.parse(stdout);
}

const specs = ['ts', 'mts', 'cts', 'js', 'mjs', 'cjs']
  .map((extension) => `./plain.${extension}`)
  .concat('script.tasks');
const allOurs = Object.fromEntries([...specs, 'more'].map((spec) => [spec, 'ours, once']));

it('loads one copy of the package where it is installed', async () => {
  expect(await loadAll(installed, specs)).toEqual(allOurs);
});

it('gives itself to files in a folder that has no package at all', async () => {
  expect(await loadAll(bare, specs)).toEqual(allOurs);
});

it('takes apps of another copy by their brand, and knows the program of that copy', async () => {
  expect(await loadAll(other, specs)).toMatchObject({ more: 'ours, once', './plain.mjs': 'another copy' });
  const { otherProgram } = await import(join(installed, 'node_modules', 'celery-ts', 'dist', 'app', 'load-module.js'));
  expect(otherProgram(other)).toBe(join(other, 'node_modules', 'celery-ts', 'bin', 'celery-ts.js'));
  expect([otherProgram(installed), otherProgram(bare)]).toEqual([undefined, undefined]);
});

it('hands the command line over to the copy in the folder, so that the app is one of its own', async () => {
  const program = join(installed, 'node_modules', 'celery-ts', 'bin', 'celery-ts.js');
  const marked = join(other, 'node_modules', 'celery-ts', 'package.json');
  writeFileSync(marked, readFileSync(marked, 'utf8').replace(/"version": "[^"]*"/, '"version": "9.9.9-local"'));
  const version = async (cwd: string, ...args: string[]): Promise<string> =>
    (await run(process.execPath, [program, ...args, '--version'], { cwd })).stdout.trim();
  expect(await version(other)).toBe('9.9.9-local');
  expect(await version(bare)).not.toBe('9.9.9-local');
  expect(await version(bare, '--workdir', other)).toBe('9.9.9-local');
  expect(await version(other, `--workdir=${bare}`)).not.toBe('9.9.9-local');
  const { stdout } = await run(process.execPath, [program, 'report', '-A', './plain.mjs'], { cwd: other });
  expect(stdout).toContain('9.9.9-local');
});
