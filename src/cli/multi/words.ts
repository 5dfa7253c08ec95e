/**
 * The command line of `multi`, taken apart: names, options for all nodes, options for some (`-c:w1 3`), the words after
 * `--`. Pure. An option keeps the place where it was first seen, because `show` prints it there.
 */

/** Options by name with their dashes, `-c` or `--pidfile`; a value is empty when there was none. */
export type NodeOptions = ReadonlyMap<string, string>;

export interface MultiWords {
  /** Names, or one number. */
  readonly names: readonly string[];
  readonly options: NodeOptions;
  /** By what stands behind the colon: a name, a place, `1,3`, `1-3`. */
  readonly scoped: ReadonlyMap<string, NodeOptions>;
  /** From `--` on, with it. */
  readonly rest: readonly string[];
}

/** Options of a worker that stand alone; every other short option takes the word behind it. */
const bareShort = new Set(['-E', '-B', '-D', '-C', '-q']);

/** @param takesValue whether a long option that came without `=` takes the next word. */
export function parseMultiWords(words: readonly string[], takesValue: (option: string) => boolean): MultiWords {
  const names: string[] = [];
  const options = new Map<string, string>();
  const scoped = new Map<string, Map<string, string>>();
  const add = (option: string, value: string): void => {
    const colon = option.indexOf(':');
    if (colon === -1) {
      options.set(option, value);
      return;
    }
    const scope = option.slice(colon + 1);
    const own = scoped.get(scope) ?? new Map<string, string>();
    own.set(option.slice(0, colon), value);
    scoped.set(scope, own);
  };
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    const next = words[at + 1];
    if (word === '') continue;
    if (word === '--') return { names, options, scoped, rest: words.slice(at) };
    if (!word.startsWith('-') || word === '-') {
      names.push(word);
      continue;
    }
    const equals = word.indexOf('=');
    if (word.startsWith('--') && equals !== -1) {
      add(word.slice(0, equals), word.slice(equals + 1));
      continue;
    }
    const bare = word.replace(/:.*$/s, '');
    const wantsNext = word.startsWith('--') ? takesValue(bare) : bare.length === 2 && !bareShort.has(bare);
    if (wantsNext && next !== undefined && !/^-[^\d]/.test(next) && next !== '--') {
      add(word, next);
      at += 1;
    } else add(word, '');
  }
  return { names, options, scoped, rest: [] };
}
