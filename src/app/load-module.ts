/**
 * Finds and imports a user's module by path or name: TypeScript or JavaScript, ES module or CommonJS, on Node 20 too.
 * What the user's files import as `celery-ts` is the copy that runs, even in a folder without the package.
 *
 * JavaScript goes through `import()`. TypeScript goes through the process's own loader when it has one (`--import tsx`,
 * or a main program in TypeScript), else through jiti. One process keeps to one way: two would evaluate a module twice.
 */
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, extname, isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ImproperlyConfigured } from '../core/errors.ts';
import { nearest } from '../core/nearest.ts';
import { explainLoadError, type SyntaxProblem, shownPath } from './load-error.ts';

export type ModuleExports = Readonly<Record<string, unknown>>;

/** Extensions tried, in order. */
export const extensions = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs'] as const;

/**
 * Imports the module of that path (`./config.ts`, `./config`) or name (`config`, `proj.config`, a package), looked for
 * in `cwd` first.
 * @throws {ImproperlyConfigured} when it is not found or cannot be loaded; names file, line and column.
 */
export async function loadModule(name: string, options: { readonly cwd: string }): Promise<ModuleExports> {
  const found = await resolveModule(name, options.cwd);
  if (found.path === undefined) {
    throw new ImproperlyConfigured(`No module '${name}' found. Tried: ${found.tried.join(', ')}.${found.hint}`);
  }
  return importFile(found.path, options.cwd);
}

/**
 * Loads one export by name: `./routes.ts:route`, `proj.routes:route`, or `proj.routes.route` as Python writes it.
 * @throws {ImproperlyConfigured} when the module is not found, cannot be loaded or has no such export.
 */
export async function loadExport(path: string, options: { readonly cwd: string }): Promise<unknown> {
  const { name, exportName } = parseExportPath(path);
  if (exportName !== undefined) return exportOf(await loadModule(name, options), exportName, name);
  const cut = isPath(name) ? -1 : name.lastIndexOf('.');
  if (cut <= 0) throw new ImproperlyConfigured(`'${path}' names no export: write it as 'module:export'.`);
  return exportOf(await loadModule(name.slice(0, cut), options), name.slice(cut + 1), name.slice(0, cut));
}

/** `./tasks.ts:name` → `./tasks.ts` and `name`; the colon of `C:\tasks.ts` or `file:` is no separator. */
export function parseExportPath(path: string): { readonly name: string; readonly exportName: string | undefined } {
  const found = /^(.{2,}):([A-Za-z_$][\w$.]*)$/.exec(path);
  return found === null ? { name: path, exportName: undefined } : { name: found[1] ?? path, exportName: found[2] };
}

function exportOf(exports: ModuleExports, exportName: string, name: string): unknown {
  const value = exports[exportName] ?? Object(exports.default)[exportName];
  if (value !== undefined) return value;
  const known = Object.keys(exports).join(', ') || 'none';
  throw new ImproperlyConfigured(`The module '${name}' has no export '${exportName}'; its exports: ${known}.`);
}

/** A module that was found and loaded. */
export interface Discovered {
  readonly path: string;
  readonly exports: ModuleExports;
}

/**
 * Loads the module `relatedName` of each package, where there is one. Celery: `autodiscover_tasks`.
 * @param options.relatedName `tasks` unless given; null loads the packages themselves.
 * @returns the modules that were loaded.
 * @throws {ImproperlyConfigured} when neither a package nor its related module is found, or one cannot be loaded.
 */
export async function autodiscover(
  packages: readonly string[],
  options: { readonly cwd: string; readonly relatedName?: string | null | undefined },
): Promise<readonly Discovered[]> {
  const { cwd, relatedName = 'tasks' } = options;
  const loaded: Discovered[] = [];
  for (const name of packages) {
    const path = await discover(name, relatedName, cwd);
    if (path === undefined) continue;
    loaded.push({ path, exports: await importFile(path, cwd) });
  }
  return loaded;
}

/** Where a module is, or what was tried and what is there instead. */
export interface Resolution {
  readonly path: string | undefined;
  readonly tried: readonly string[];
  /** `" Did you mean './tasks.ts'?"` or empty. */
  readonly hint: string;
}

/** Looks for a module without loading it. */
export async function resolveModule(name: string, cwd: string): Promise<Resolution> {
  const candidates = fileCandidates(name, cwd);
  const path = candidates.find(isFile) ?? (mayBePackage(name) ? await resolvePackage(name, cwd) : undefined);
  const tried = shortened(candidates.map((candidate) => shownPath(candidate, cwd)));
  if (mayBePackage(name)) tried.push(`the package '${name}'`);
  return { path, tried, hint: path === undefined ? hintFor(name, cwd) : '' };
}

/** The files that a name may mean, in the order they are looked for. */
export function fileCandidates(name: string, cwd: string): readonly string[] {
  const base = pathOf(name, cwd);
  if (extensions.some((extension) => base.endsWith(extension))) {
    // TypeScript's habit: './tasks.js' may stand for './tasks.ts'.
    const source = /\.[mc]?js$/.test(base) ? [base.replace(/js$/, 'ts')] : [];
    return [base, ...source];
  }
  const bases = isPath(name) || !name.includes('.') ? [base] : [base, join(cwd, ...name.split('.'))];
  return bases.flatMap((one) => [
    ...extensions.map((extension) => `${one}${extension}`),
    ...['index', 'celery'].flatMap((file) => extensions.map((extension) => join(one, `${file}${extension}`))),
  ]);
}

/** True when a name is written as a path. */
export function isPath(name: string): boolean {
  return /^(\.{1,2}([\\/]|$)|file:|~\/)/.test(name) || isAbsolute(name) || extensions.some((end) => name.endsWith(end));
}

/**
 * Imports one file.
 * @throws {ImproperlyConfigured} when it cannot be loaded; the original error is the cause.
 */
export async function importFile(path: string, cwd: string): Promise<ModuleExports> {
  try {
    if (await isForJiti(path)) return await importThroughJiti(path);
    try {
      return await import(/* @vite-ignore */ pathToFileURL(path).href);
    } catch (error) {
      if (!isUnknownExtension(error)) throw error;
      return await importThroughJiti(path);
    }
  } catch (error) {
    const { createJiti } = await import('jiti');
    const { transform } = createJiti(import.meta.url);
    throw explainLoadError(error, path, cwd, (source, filename) =>
      syntaxProblem(transform({ source, filename, async: true })),
    );
  }
}

async function discover(name: string, relatedName: string | null, cwd: string): Promise<string | undefined> {
  if (relatedName === null || relatedName === '') {
    const found = await resolveModule(name, cwd);
    if (found.path !== undefined) return found.path;
    throw new ImproperlyConfigured(
      `autodiscoverTasks: no package '${name}'. Tried: ${found.tried.join(', ')}.${found.hint}`,
    );
  }
  const related = await resolveModule(`${name}/${relatedName}`, cwd);
  if (related.path !== undefined) return related.path;
  const dotted = isPath(name) ? related : await resolveModule(`${name}.${relatedName}`, cwd);
  if (dotted.path !== undefined) return dotted.path;
  const own = await resolveModule(name, cwd);
  if (own.path !== undefined || isFolder(pathOf(name, cwd)) || isFolder(join(cwd, ...name.split('.'))))
    return undefined;
  throw new ImproperlyConfigured(`autodiscoverTasks: no package '${name}'. Tried: ${own.tried.join(', ')}.${own.hint}`);
}

function pathOf(name: string, cwd: string): string {
  if (name.startsWith('file:')) return fileURLToPath(name);
  return resolve(cwd, name);
}

function mayBePackage(name: string): boolean {
  return !isPath(name);
}

async function resolvePackage(name: string, cwd: string): Promise<string | undefined> {
  const { createJiti } = await import('jiti');
  const parentURL = pathToFileURL(join(cwd, 'index.js')).href;
  const url = createJiti(import.meta.url).esmResolve(name, { parentURL, try: true });
  return url?.startsWith('file:') ? fileURLToPath(url) : undefined;
}

/** The file beside whose name is most like the one asked for. */
function hintFor(name: string, cwd: string): string {
  const wanted = pathOf(name, cwd);
  const folder = dirname(wanted);
  const bare = new Map(filesOf(folder).map((file) => [basename(file, extname(file)), file]));
  const near = nearest(basename(wanted, extname(wanted)), bare.keys());
  const found = near === undefined ? undefined : bare.get(near);
  return found === undefined ? '' : ` Did you mean ${shownPath(join(folder, found), cwd)}?`;
}

/** `./a.ts, ./a.js, ./a/index.ts …` → `./a.{ts,js}, ./a/index.{ts,…}`. */
function shortened(paths: readonly string[]): string[] {
  const byBase = new Map<string, string[]>();
  for (const path of paths) {
    const base = path.slice(0, -extname(path).length);
    byBase.set(base, [...(byBase.get(base) ?? []), extname(path).slice(1)]);
  }
  return [...byBase].map(([base, ends]) => (ends.length === 1 ? `${base}.${ends[0]}` : `${base}.{${ends.join(',')}}`));
}

function filesOf(folder: string): string[] {
  try {
    return readdirSync(folder).filter((file) => extensions.some((extension) => file.endsWith(extension)));
  } catch {
    return [];
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

async function isForJiti(path: string): Promise<boolean> {
  if (hasOwnLoader()) return false;
  const extension = extname(path);
  if (/^\.[mc]?ts$/.test(extension)) return true;
  // jiti evaluates `.js` without a package type itself; so that it meets the same module, it goes there from the start.
  if (extension === '.js' && packageType(path) === undefined) return true;
  return hasNoCopy(path);
}

/** True when this process reads TypeScript by itself: by a registered loader, or because its program is TypeScript. */
function hasOwnLoader(): boolean {
  const flags = process.execArgv.join(' ');
  return (
    /(--import|--loader|--experimental-loader|--require|-r)[ =]\S*(tsx|ts-node|swc|esbuild|jiti)/.test(flags) ||
    /\.[mc]?ts$/.test(process.argv[1] ?? '')
  );
}

/** True when `celery-ts` means nothing to the module at `path`: its folder has no such package. */
function hasNoCopy(path: string): boolean {
  return copyFor(path) === undefined;
}

/**
 * The program `celery-ts` of another copy of this package, installed in or above `folder`: JavaScript there imports that
 * copy, so that the command line does better to hand over to it. Undefined: there is none, or it is this one.
 */
export function otherProgram(folder: string): string | undefined {
  const copy = copyFor(join(folder, 'index.js'));
  if (copy === undefined || copy === realpathSync(packageFolder())) return undefined;
  const program = join(copy, 'bin', 'celery-ts.js');
  return isFile(program) ? program : undefined;
}

/** The folder of the package that the module at `path` gets when it imports `celery-ts`. */
function copyFor(path: string): string | undefined {
  try {
    return dirname(realpathSync(createRequire(path).resolve('celery-ts/package.json')));
  } catch {
    return undefined;
  }
}

/** The folder of this package: `src/app` and `dist/app` are both two levels below it. */
function packageFolder(): string {
  return dirname(dirname(dirname(fileURLToPath(import.meta.url))));
}

function packageType(path: string): string | undefined {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    if (existsSync(file)) return typeOf(file);
    if (folder === dirname(folder)) return undefined;
  }
}

function typeOf(packageFile: string): string | undefined {
  try {
    const { type } = JSON.parse(readFileSync(packageFile, 'utf8'));
    return typeof type === 'string' ? type : undefined;
  } catch {
    return undefined;
  }
}

/** `celery-ts` is handed over as a module: a `require` of it would make jiti evaluate the package a second time. */
async function importThroughJiti(path: string): Promise<ModuleExports> {
  const { createJiti } = await import('jiti');
  const virtualModules = { 'celery-ts': await thisCopy() };
  return createJiti(import.meta.url, { virtualModules }).import<ModuleExports>(path);
}

/** This package as its users import it: `index.js` beside `app/`, or `index.ts` where the sources run. */
function thisCopy(): Promise<ModuleExports> {
  const entry = new URL(`../index${extname(import.meta.url)}`, import.meta.url);
  return import(/* @vite-ignore */ entry.href);
}

function isUnknownExtension(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_UNKNOWN_FILE_EXTENSION';
}

/** jiti's transformer does not throw: it writes the error into the code. */
function syntaxProblem(code: string): SyntaxProblem | undefined {
  const found = /^exports\.__JITI_ERROR__ = (\{.*\})/m.exec(code)?.[1];
  if (found === undefined) return undefined;
  const { line, column, message } = JSON.parse(found);
  return { line: Number(line), column: Number(column), message: String(message).trim() };
}
