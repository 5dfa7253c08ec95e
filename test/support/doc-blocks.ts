/**
 * The TypeScript of the documentation as programs. A page is read from top to bottom, as its readers do: a block may use
 * what an earlier block of the page declares, what the package exports, and what `./tasks.ts` of the page exports.
 *
 *   ```ts            compiled
 *   ```ts run        compiled and run
 *   // tasks.ts      as first line: the block is this file, and others import it
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { root } from './build.ts';

export interface Block {
  /** The page, from the root of the repository. */
  readonly page: string;
  readonly line: number;
  readonly isRunnable: boolean;
  readonly code: string;
  /** Its file in the page's folder. */
  readonly file: string;
}

export interface Page {
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly Block[];
}

/** README, CONTRIBUTING and everything in `docs`. */
export async function readPages(): Promise<readonly Page[]> {
  const inDocs = (await readdir(join(root, 'docs'), { recursive: true })).filter((path) => path.endsWith('.md'));
  const paths = ['README.md', 'CONTRIBUTING.md', 'examples/README.md', ...inDocs.sort().map((path) => `docs/${path}`)];
  return Promise.all(
    paths.map(async (path) => {
      const text = await readFile(join(root, path), 'utf8');
      return { path, text, blocks: blocksOf(path, text) };
    }),
  );
}

function blocksOf(page: string, text: string): Block[] {
  const blocks: Block[] = [];
  const lines = text.split('\n');
  for (let at = 0; at < lines.length; at += 1) {
    const fence = /^(\s*)```(\S*)\s*(.*)$/.exec(lines[at] ?? '');
    if (fence === null) continue;
    const [, indent = '', language = '', flags = ''] = fence;
    const start = at + 1;
    at = start;
    while (at < lines.length && (lines[at] ?? '').trim() !== '```') at += 1;
    if (!['ts', 'typescript', 'mts'].includes(language)) continue;
    const code = lines
      .slice(start, at)
      .map((line) => line.slice(indent.length))
      .join('\n');
    const named = /^\/\/ (?:\.\/)?([\w./-]+\.ts)\s*$/.exec(code.split('\n', 1)[0] ?? '')?.[1];
    const file = named ?? `block-${blocks.length + 1}.ts`;
    blocks.push({ page, line: start + 1, isRunnable: flags.split(/\s+/).includes('run'), code, file });
  }
  return blocks;
}

/** What a page may use without saying where it comes from, when it has no `// tasks.ts` of its own. */
const commonTasks = `
import { Celery } from 'celery-ts';
export const app = new Celery('tasks', { brokerUrl: 'amqp://guest:guest@localhost:5672//', resultBackend: 'rpc://' });
export const add = app.task('tasks.add', (x: number, y: number) => x + y);
`;

export interface Workspace extends AsyncDisposable {
  readonly folder: string;
  /** The folder of a page's files. */
  folderOf(page: string): string;
}

/** Writes every block as a module that compiles on its own, with a tsconfig over all of them. */
export async function writeWorkspace(pages: readonly Page[]): Promise<Workspace> {
  await mkdir(join(root, 'build'), { recursive: true });
  const folder = await mkdtemp(join(root, 'build', 'docs-'));
  const folderOf = (page: string): string => join(folder, page.replace(/\.md$/, '').replaceAll('/', '-'));
  const exported = await packageExports();
  for (const page of pages) {
    if (page.blocks.length === 0) continue;
    const files = new Map<string, string>();
    const declared = new Map<string, { readonly file: string; readonly isType: boolean }>();
    const learn = (file: string, code: string): void => {
      for (const [name, isType] of declarations(code)) declared.set(name, { file, isType });
    };
    if (!page.blocks.some(({ file }) => file === 'tasks.ts')) {
      files.set('tasks.ts', commonTasks);
      learn('tasks.ts', commonTasks);
    }
    for (const block of page.blocks) {
      files.set(block.file, `${imports(block, declared, exported)}${block.code}\n${exportsOf(block.code)}`);
      learn(block.file, block.code);
    }
    for (const [file, code] of files) {
      await mkdir(dirname(join(folderOf(page.path), file)), { recursive: true });
      await writeFile(join(folderOf(page.path), file), code);
    }
  }
  const config = {
    extends: relative(folder, join(root, 'tsconfig.json')),
    compilerOptions: { paths: {}, noUnusedLocals: false, noUnusedParameters: false, noEmit: false, rootDir: '.' },
    include: ['**/*.ts'],
    exclude: [],
  };
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
  await writeFile(join(folder, 'vitest.config.mjs'), 'export default {};\n');
  return {
    folder,
    folderOf,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true, maxRetries: 3 }),
  };
}

/** One line in front of a block, so that line numbers stay what they are plus one. */
function imports(
  block: Block,
  declared: ReadonlyMap<string, { readonly file: string; readonly isType: boolean }>,
  exported: ReadonlyMap<string, { readonly from: string; readonly isType: boolean }>,
): string {
  const own = new Set([...declarations(block.code).keys(), ...imported(block.code)]);
  const words = new Set(withoutTexts(block.code).match(/(?<![.\w$])[A-Za-z_$][\w$]*/g));
  const lines: string[] = [];
  for (const name of words) {
    if (own.has(name)) continue;
    const earlier = declared.get(name);
    const known = earlier === undefined ? exported.get(name) : { ...earlier, from: pathTo(block.file, earlier.file) };
    if (known !== undefined) lines.push(`import ${known.isType ? 'type ' : ''}{ ${name} } from '${known.from}';`);
  }
  return `${lines.join(' ')}\n`;
}

function pathTo(from: string, to: string): string {
  const path = relative(dirname(from), to);
  return path.startsWith('.') ? path : `./${path}`;
}

/** Names at the top of a block; true for those that are types only. */
function declarations(code: string): Map<string, boolean> {
  const names = new Map<string, boolean>();
  for (const [, kind = '', name = ''] of code.matchAll(
    /^(?:export )?(?:declare )?(?:async )?(?:await )?(?:abstract )?(const|let|var|using|class|function\*?|interface|type) (\w+)/gm,
  )) {
    names.set(name, kind === 'interface' || kind === 'type');
  }
  for (const [, list = ''] of code.matchAll(/^(?:export )?(?:const|let|var) [[{]([^\]}=]*)[\]}]/gm)) {
    for (const part of list.split(',')) {
      const name = part.split(':').at(-1)?.trim() ?? '';
      if (/^\w+$/.test(name)) names.set(name, false);
    }
  }
  return names;
}

function imported(code: string): string[] {
  return [...code.matchAll(/^import (?:type )?([^'"]*?) from /gms)].flatMap(([, list = '']) =>
    list
      .replace(/[{}*]/g, ' ')
      .split(',')
      .map((part) => part.trim().split(/\s+/).at(-1) ?? ''),
  );
}

/** A line behind a block that lets later blocks use what it declares. */
function exportsOf(code: string): string {
  const values: string[] = [];
  const types: string[] = [];
  for (const [name, isType] of declarations(code)) {
    if (new RegExp(`^export .*\\b${name}\\b`, 'm').test(code)) continue;
    (isType ? types : values).push(name);
  }
  return `export { ${[...values, ...types.map((name) => `type ${name}`)].join(', ')} };\n`;
}

function withoutTexts(code: string): string {
  return code
    .replace(/'(?:[^'\\\n]|\\.)*'/g, "''")
    .replace(/"(?:[^"\\\n]|\\.)*"/g, '""')
    .replace(/\/\/.*$/gm, '');
}

/** What the package's three entries export. */
async function packageExports(): Promise<Map<string, { readonly from: string; readonly isType: boolean }>> {
  const names = new Map<string, { readonly from: string; readonly isType: boolean }>();
  const entries = { 'celery-ts/testing': 'testing/index.ts', 'celery-ts': 'index.ts' };
  for (const [from, path] of Object.entries(entries)) {
    const text = await readFile(join(root, 'src', path), 'utf8');
    for (const [, allTypes, list = ''] of text.matchAll(/^export (type )?\{([^}]*)\}/gm)) {
      for (const part of list.split(',').map((each) => each.trim())) {
        const isType = allTypes !== undefined || part.startsWith('type ');
        const name =
          part
            .replace(/^type /, '')
            .split(' as ')
            .at(-1) ?? '';
        if (name !== '') names.set(name, { from, isType });
      }
    }
  }
  return names;
}

/** What a run of the block has to print, in this order: the comments behind `console.log(…);`. */
export function expectedOutput(code: string): string[] {
  return [...code.matchAll(/console\.log\(.*\);\s*\/\/ (.*)$/gm)].map(
    ([, text = '']) => text.split(/[,;:] /, 1)[0] ?? text,
  );
}

/** Headings as the anchors that GitHub makes of them. */
export function anchorsOf(text: string): Set<string> {
  const seen = new Map<string, number>();
  const anchors = new Set<string>();
  for (const [, heading = ''] of withoutFences(text).matchAll(/^#{1,6} (.*)$/gm)) {
    const slug = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-');
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    anchors.add(count === 0 ? slug : `${slug}-${count}`);
  }
  return anchors;
}

/** Targets of the links of a page. */
export function linksOf(text: string): string[] {
  const plain = withoutFences(text).replace(/`[^`\n]*`/g, '``');
  return [...plain.matchAll(/\]\(([^)\s]+)(?: "[^"]*")?\)/g)].map(([, target = '']) => target);
}

function withoutFences(text: string): string {
  return text.replace(/^(\s*)```[\s\S]*?^\s*```\s*$/gm, '');
}
