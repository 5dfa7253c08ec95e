/**
 * Which files make an app what it is: its module and what that imports by relative paths, step by step. Where imports
 * cannot be read from the text, all code in the folder. `node_modules` and folders that begin with a dot are left out.
 */
import { dirname, extname, resolve } from 'node:path';

/** A state of the sources: each file with what tells that it was written. */
export type Snapshot = ReadonlyMap<string, string>;

const codeExtensions = new Set(['.ts', '.mts', '.cts', '.tsx', '.js', '.mjs', '.cjs', '.jsx']);

export function isCodeFile(path: string): boolean {
  return codeExtensions.has(extname(path));
}

/** Folders that are not looked into. */
export function isSkipped(folderName: string): boolean {
  return folderName === 'node_modules' || folderName.startsWith('.');
}

/** Files that are new, gone or different, in order. */
export function changedFiles(before: Snapshot, after: Snapshot): string[] {
  const paths = new Set([...before.keys(), ...after.keys()]);
  return [...paths].filter((path) => before.get(path) !== after.get(path)).sort();
}

/** What was found by reading imports. */
export interface Imported {
  readonly files: ReadonlySet<string>;
  /** There are imports whose target the text does not tell: `import(name)`, `#aliases`, modules named in settings. */
  readonly isOpen: boolean;
}

/**
 * What the entries import by relative paths, step by step. TypeScript's habits are known: `./a.js` for `a.ts`, no extension.
 * @param read the text of a file; undefined when there is none.
 */
export async function importedFiles(
  entries: readonly string[],
  read: (path: string) => Promise<string | undefined>,
): Promise<Imported> {
  const found = new Set<string>();
  const waiting = [...entries];
  let isOpen = false;
  for (let path = waiting.pop(); path !== undefined && found.size < mostFiles; path = waiting.pop()) {
    if (found.has(path)) continue;
    const text = await read(path);
    if (text === undefined) continue;
    found.add(path);
    if (!isCodeFile(path)) continue;
    isOpen ||= openPattern.test(text);
    for (const [, , specifier = ''] of text.matchAll(importPattern)) {
      for (const candidate of candidates(resolve(dirname(path), specifier))) {
        if (found.has(candidate)) break;
        if ((await read(candidate)) === undefined) continue;
        waiting.push(candidate);
        break;
      }
    }
  }
  return { files: found, isOpen };
}

const mostFiles = 2000;
const openPattern =
  /\b(?:import|require)\s*\(\s*(?!['"])|\bfrom\s*['"]#|\b(?:include|imports)\s*[:=]|autodiscoverTasks|autodiscover_tasks/;
const importPattern = /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)(['"])(\.{1,2}\/[^'"\n]+)\1/g;

function candidates(path: string): string[] {
  const source = /\.[mc]?js$/.test(path) ? [path.replace(/js$/, 'ts'), path.replace(/\.js$/, '.tsx')] : [];
  const added = isCodeFile(path) ? [] : [...codeExtensions].flatMap((end) => [`${path}${end}`, `${path}/index${end}`]);
  return [path, ...source, ...added];
}
