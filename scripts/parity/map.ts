/**
 * The parity map: for each row of Celery's tables what celery-ts makes of it, and the test that proves it.
 * `test/parity/<table>.json` holds the entries; this file reads, checks and writes them.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { keysOf, root, tableNames } from './rows.ts';

export type Entry =
  /** `test` is `path#title` of a test that fails when the row is not true, or several of them. */
  | { readonly status: 'done'; readonly test: string | readonly string[]; readonly note?: string }
  | { readonly status: 'partial'; readonly missing: string; readonly test?: string | readonly string[] }
  /** `step` as in the plan (1 to 9), or `later` for what no step promises yet. */
  | { readonly status: 'planned'; readonly step: number | 'later' }
  | { readonly status: 'not-applicable'; readonly why: string };

export type Table = Readonly<Record<string, Entry>>;

/** Every table with its entries, in order; a table without a file is empty. */
export function readMap(): Map<string, Table> {
  return new Map(tableNames.map((name) => [name, readTable(name)]));
}

/** What is wrong with the map, a sentence each; nothing when it can be trusted. */
export function problemsOf(map: ReadonlyMap<string, Table>): string[] {
  const titles = new Map<string, Set<string>>();
  return [...map].flatMap(([name, table]) => {
    const keys = keysOf(name);
    const known = new Set(keys);
    return [
      ...keys.filter((key) => !(key in table)).map((key) => `${key}: missing (run \`npm run parity\`)`),
      ...Object.keys(table)
        .filter((key) => !known.has(key))
        .map((key) => `${key}: no row of test/spec/${name}.json has this key`),
      ...Object.entries(table).flatMap(([key, entry]) => entryProblems(entry, titles).map((what) => `${key}: ${what}`)),
    ];
  });
}

/** The same map with every row of the tables in it, in their order. Unknown keys stay, for `problemsOf` to name. */
export function completed(
  map: ReadonlyMap<string, Table>,
  firstWord: (key: string) => Entry,
): ReadonlyMap<string, Table> {
  return new Map(
    [...map].map(([name, table]) => {
      const rows = keysOf(name).map((key) => [key, table[key] ?? firstWord(key)] as const);
      return [name, { ...Object.fromEntries(rows), ...table }];
    }),
  );
}

export function writeMap(map: ReadonlyMap<string, Table>): void {
  for (const [name, table] of map) writeFileSync(pathOf(name), `${formatted(table)}\n`);
}

/** One entry a line: rows are read, searched and merged line by line. */
function formatted(table: Table): string {
  const lines = Object.entries(table).map(([key, entry]) => `  ${JSON.stringify(key)}: ${JSON.stringify(entry)}`);
  return `{\n${lines.join(',\n')}\n}`;
}

function readTable(name: string): Table {
  const path = pathOf(name);
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Table) : {};
}

function pathOf(name: string): string {
  return join(root, 'test', 'parity', `${name}.json`);
}

function entryProblems(entry: Entry, titles: Map<string, Set<string>>): string[] {
  switch (entry.status) {
    case 'done':
      return [...unknownFields(entry, ['test', 'note']), ...testProblems(entry.test, titles)];
    case 'partial':
      return [
        ...unknownFields(entry, ['missing', 'test']),
        ...sentence(entry.missing, 'what is missing'),
        ...(entry.test === undefined ? [] : testProblems(entry.test, titles)),
      ];
    case 'planned': {
      const isStep = entry.step === 'later' || (Number.isInteger(entry.step) && entry.step >= 1 && entry.step <= 9);
      return [...unknownFields(entry, ['step']), ...(isStep ? [] : ['planned for no step'])];
    }
    case 'not-applicable':
      return [...unknownFields(entry, ['why']), ...sentence(entry.why, 'why')];
    default:
      return [`unknown status in ${JSON.stringify(entry)}`];
  }
}

function unknownFields(entry: Entry, known: readonly string[]): string[] {
  return Object.keys(entry)
    .filter((field) => field !== 'status' && !known.includes(field))
    .map((field) => `a '${entry.status}' entry has no field '${field}'`);
}

function sentence(text: unknown, what: string): string[] {
  return typeof text === 'string' && text.trim() !== '' ? [] : [`does not say ${what}`];
}

function testProblems(given: string | readonly string[] | undefined, titles: Map<string, Set<string>>): string[] {
  const names = typeof given === 'string' ? [given] : (given ?? []);
  if (names.length === 0) return ['names no test'];
  return names.flatMap((name) => {
    const at = name.indexOf('#');
    const path = at < 0 ? name : name.slice(0, at);
    const title = at < 0 ? '' : name.slice(at + 1);
    if (!/^test\/.+\.ts$/.test(path) || !existsSync(join(root, path))) return [`there is no test file '${path}'`];
    const found = titles.get(path) ?? titlesIn(readFileSync(join(root, path), 'utf8'));
    titles.set(path, found);
    return found.has(title) ? [] : [`${path} has no test with the title '${title}'`];
  });
}

/**
 * The titles of `it('…', …)` and `test('…', …)`, as written in the file; of `it.each(table)('…', …)` and the like too,
 * which look like the call of a call.
 */
export function titlesIn(code: string): Set<string> {
  const call = /(?:\b(?:it|test)(?:\.\w+)*|\))\(\s*(['"`])((?:\\.|(?!\1)[\s\S])*?)\1\s*,/g;
  const plain = (title: string): string => title.replaceAll(/\\(['"`\\])/g, '$1');
  return new Set([...code.matchAll(call)].map((match) => plain(match[2] ?? '')));
}
