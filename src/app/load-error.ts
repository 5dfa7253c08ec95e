/**
 * What went wrong while a user's module was loaded, as one readable `ImproperlyConfigured` with file, line and column.
 * Node and the TypeScript transformer say where in five different ways, and for ES modules with a syntax error not at
 * all: then the files are looked through for the one that does not parse.
 */
import { readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ImproperlyConfigured } from '../core/errors.ts';

/** Finds what in a source text does not parse; undefined: it does. */
export type FindSyntaxError = (source: string, path: string) => SyntaxProblem | undefined;

export interface SyntaxProblem {
  readonly message: string;
  readonly line: number;
  readonly column: number;
}

interface Place {
  readonly path: string;
  readonly line: number;
  readonly column: number;
}

/** Wraps whatever importing `path` threw. The original error is the cause. */
export function explainLoadError(
  error: unknown,
  path: string,
  cwd: string,
  find: FindSyntaxError,
): ImproperlyConfigured {
  const said = messageOf(error);
  const notFound = missingModule(error, said, path);
  const parsed = /^(?:SyntaxError: )?ParseError: (.*?)\s*\n\s*(.+):(\d+):(\d+)/s.exec(said);
  if (parsed !== null) {
    const [, message = '', file = path, line, column] = parsed;
    return wrapped(
      { path: file, line: Number(line), column: Number(column) + 1 },
      `${message.trim()} (syntax error)`,
      path,
      cwd,
      error,
    );
  }
  if (notFound !== undefined) return wrapped(notFound.place, notFound.message, path, cwd, error);
  if (error instanceof SyntaxError || said.startsWith('SyntaxError')) {
    const place = decoratedPlace(error);
    if (place !== undefined) return wrapped(place, `${said} (syntax error)`, path, cwd, error);
    const found = searchSyntaxError(path, find);
    if (found !== undefined) return wrapped(found.place, `${found.message} (syntax error)`, path, cwd, error);
  }
  const name = error instanceof ImproperlyConfigured || !(error instanceof Error) ? '' : `${error.name}: `;
  return wrapped(firstFrame(error, cwd), `${name}${said}`, path, cwd, error);
}

/** The path as a user in `cwd` would write it. */
export function shownPath(path: string, cwd: string): string {
  const way = relative(cwd, path);
  if (way === '' || way.startsWith('..')) return path;
  return `./${way}`;
}

function wrapped(
  place: Place | undefined,
  message: string,
  path: string,
  cwd: string,
  cause: unknown,
): ImproperlyConfigured {
  const entry = shownPath(path, cwd);
  if (place === undefined) return new ImproperlyConfigured(`Cannot load ${entry}: ${message}`, { cause });
  const where = `${shownPath(place.path, cwd)}:${place.line}:${place.column}`;
  const head = place.path === path ? 'Cannot load' : `Cannot load ${entry}, because of`;
  return new ImproperlyConfigured(`${head} ${where}: ${message}`, { cause });
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message === '' ? error.name : error.message;
}

/** `Cannot find package 'x' imported from /path`: the place is where the file says 'x'. */
function missingModule(
  error: unknown,
  said: string,
  entry: string,
): { place: Place | undefined; message: string } | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') return undefined;
  const wanted = /Cannot find (?:module|package) '([^']+)'/.exec(said)?.[1];
  if (wanted === undefined) return undefined;
  const importer = pathOf(
    /imported from ['"]?(.+?)['"]?$/m.exec(said)?.[1] ?? /Require stack:\s*- (.+)/.exec(said)?.[1] ?? entry,
  );
  const place = placeOfImport(importer, wanted);
  const specifier = place?.specifier ?? wanted;
  const cure = /^[./]|^file:/.test(specifier)
    ? 'there is no such file'
    : `is it installed? Try: npm install ${packageOf(specifier)}`;
  return { place: place ?? { path: importer, line: 1, column: 1 }, message: `Cannot find '${specifier}'; ${cure}.` };
}

/** Node names the resolved path, the file a relative specifier: both are looked for. */
function placeOfImport(path: string, wanted: string): (Place & { specifier: string }) | undefined {
  const source = readSource(path);
  if (source === undefined) return undefined;
  const wantedPath = pathOf(wanted);
  for (const { specifier, index } of specifiers(source)) {
    const isIt =
      specifier === wanted || (specifier.startsWith('.') && resolve(dirname(path), specifier) === wantedPath);
    if (isIt) return { path, ...lineAndColumn(source, index), specifier };
  }
  return undefined;
}

/** Node puts `file:///path:3`, the line and a caret above the stack of syntax errors it knows the place of. */
function decoratedPlace(error: unknown): Place | undefined {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const head = /^((?:file:\/\/)?(?:\/|[A-Za-z]:\\).+?):(\d+)\n(.*)\n( *)\^/.exec(stack);
  if (head === null) return undefined;
  const [, file = '', line, , indent = ''] = head;
  return { path: pathOf(file), line: Number(line), column: indent.length + 1 };
}

/** Parses the entry and what it imports by relative paths, breadth first, until a file does not parse. */
function searchSyntaxError(entry: string, find: FindSyntaxError): { place: Place; message: string } | undefined {
  const waiting = [entry];
  const seen = new Set(waiting);
  for (let path = waiting.shift(); path !== undefined && seen.size < 500; path = waiting.shift()) {
    const source = readSource(path);
    if (source === undefined) continue;
    const problem = find(source, path);
    if (problem !== undefined) {
      const { line, column, message } = problem;
      return { place: { path, line, column: column + 1 }, message };
    }
    for (const { specifier } of specifiers(source)) {
      const next = resolve(dirname(path), specifier);
      if (!specifier.startsWith('.') || seen.has(next)) continue;
      seen.add(next);
      waiting.push(next);
    }
  }
  return undefined;
}

/** The first line of the stack that is the user's: not Node's, not of a package. */
function firstFrame(error: unknown, cwd: string): Place | undefined {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  for (const line of stack.split('\n')) {
    const frame = /^\s+at .*?((?:file:\/\/)?(?:\/|[A-Za-z]:\\)[^()]+?):(\d+):(\d+)\)?$/.exec(line);
    if (frame === null) continue;
    const path = pathOf(frame[1] ?? '');
    const isOfPackage = /[\\/]node_modules[\\/]/.test(relative(cwd, path)) || isOurs(path);
    if (!isOfPackage) return { path, line: Number(frame[2]), column: Number(frame[3]) };
  }
  return undefined;
}

function isOurs(path: string): boolean {
  const own = dirname(dirname(fileURLToPath(import.meta.url)));
  return path.startsWith(`${own}/`) || path.startsWith(`${own}\\`);
}

function* specifiers(source: string): Generator<{ specifier: string; index: number }> {
  const pattern = /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)(['"])([^'"\n]+)\1/g;
  for (const found of source.matchAll(pattern)) {
    const specifier = found[2] ?? '';
    yield { specifier, index: found.index + found[0].lastIndexOf(specifier) };
  }
}

function lineAndColumn(source: string, index: number): { line: number; column: number } {
  const before = source.slice(0, index).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

function readSource(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function pathOf(fileOrUrl: string): string {
  try {
    return fileOrUrl.startsWith('file://') ? fileURLToPath(fileOrUrl) : fileOrUrl;
  } catch {
    return fileOrUrl;
  }
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
