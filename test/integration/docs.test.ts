/** The documentation holds what it says: its TypeScript compiles and runs, and its links lead somewhere. */
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { startBroker } from 'celery-ts/broker';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from '../support/build.ts';
import {
  anchorsOf,
  type Block,
  expectedOutput,
  linksOf,
  readPages,
  type Workspace,
  writeWorkspace,
} from '../support/doc-blocks.ts';
import { Program } from '../support/process.ts';

const pages = await readPages();
const runnable = pages.flatMap(({ blocks }) => blocks.filter(({ isRunnable }) => isRunnable));
let workspace: Workspace;
let compiled: string;

beforeAll(async () => {
  workspace = await writeWorkspace(pages);
  await using compiler = new Program(process.execPath, [modules('typescript/bin/tsc'), '-p', workspace.folder], {
    cwd: root,
  });
  const { stdout, stderr } = await compiler.ended;
  compiled = inPages(stdout + stderr);
});

afterAll(async () => {
  await workspace[Symbol.asyncDispose]();
});

it('compiles every TypeScript block', () => {
  expect(compiled).toBe('');
  expect(pages.reduce((count, { blocks }) => count + blocks.length, 0)).toBeGreaterThan(30);
});

describe('a block marked as runnable', () => {
  it.each(runnable.map((block) => ({ block, title: `${block.page}:${block.line}` })))(
    'does what it says: $title',
    async ({ block }) => {
      const cwd = workspace.folderOf(block.page);
      await using broker = await startBroker({ strict: true });
      const env = { NO_COLOR: '1', ...(usesTasks(block) ? { CELERY_BROKER_URL: broker.url } : {}) };
      await using worker = usesTasks(block)
        ? new Program(process.execPath, [bin, 'worker', '-A', './tasks.ts', '-P', 'async', '-l', 'INFO'], { cwd, env })
        : undefined;
      await worker?.line(/ready\./);
      await using program = new Program(process.execPath, commandFor(block), { cwd, env });
      const tooLong = setTimeout(() => program.signal('SIGKILL'), 40_000);
      const { code, stdout, stderr } = await program.ended;
      clearTimeout(tooLong);
      expect(code, `${stdout}${stderr}${worker?.output ?? ''}`).toBe(0);
      let from = 0;
      for (const said of expectedOutput(block.code)) {
        const at = stdout.indexOf(said, from);
        expect(at, `'${said}' in:\n${stdout}`).toBeGreaterThanOrEqual(from);
        from = at + said.length;
      }
      await worker?.stop();
    },
    60_000,
  );
});

describe('a link', () => {
  it.each(pages.map(({ path, text }) => ({ path, text })))(
    'of $path leads to a file and a heading that are there',
    ({ path, text }) => {
      const broken = linksOf(text).filter((target) => !isThere(path, target));
      expect(broken).toEqual([]);
    },
  );
});

it('the index names every page', () => {
  const index = readFileSync(join(root, 'docs', 'README.md'), 'utf8');
  const missing = pages
    .map(({ path }) => relative('docs', path))
    .filter((path) => !path.startsWith('..') && path !== 'README.md' && !index.includes(`](${path})`));
  expect(missing).toEqual([]);
});

const bin = join(root, 'bin', 'celery-ts.js');

/** A block that imports the page's tasks and is no test gets a broker, and a worker that runs them. */
function usesTasks({ code, file }: Block): boolean {
  return /from '\.\/tasks\.ts'/.test(code) && !file.endsWith('.test.ts');
}

/** A program runs compiled; a test runs under vitest, as it stands. */
function commandFor({ file }: Block): string[] {
  if (!file.endsWith('.test.ts')) return [file.replace(/\.ts$/, '.js')];
  return [modules('vitest/vitest.mjs'), 'run', '--root', '.', file];
}

function modules(path: string): string {
  return join(root, 'node_modules', path);
}

function isThere(page: string, target: string): boolean {
  if (/^[a-z]+:/.test(target)) return true;
  const [file = '', anchor] = target.split('#', 2);
  const path = file === '' ? join(root, page) : join(root, page, '..', file);
  if (!existsSync(path)) return false;
  return anchor === undefined || !path.endsWith('.md') || anchorsOf(readFileSync(path, 'utf8')).has(anchor);
}

/** The compiler's words with the pages' own lines in them. */
function inPages(output: string): string {
  return output
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const found = /^(?:.*\/)?(?:docs-[^/]*\/)?([^/(]+)\/([^(]+)\((\d+),\d+\): (.*)$/.exec(line);
      const [, folder = '', file = '', at = '0', message = ''] = found ?? [];
      const block = pages
        .flatMap(({ blocks }) => blocks)
        .findLast((each) => workspace.folderOf(each.page).endsWith(`/${folder}`) && each.file === file);
      return block === undefined ? line : `${block.page}:${block.line + Number(at) - 2}: ${message}`;
    })
    .join('\n');
}
