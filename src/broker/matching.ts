/**
 * Which bindings of an exchange a message takes: one matcher for each exchange type. A matcher keeps the bindings it was
 * given in the shape that makes its answer cheap; it knows nothing of queues.
 */
import { AmqpError } from './errors.ts';
import { type Field, sameValue, type Table, textOf, typeNames } from './wire/field-table.ts';

export interface Keyed {
  readonly routingKey: string;
  readonly arguments: Table;
}

export interface Matcher<B extends Keyed> {
  add(binding: B): void;
  remove(binding: B): void;
  /** Appends the bindings taken to `found`. `headers` is called only by those that look at them. */
  match(routingKey: string, headers: () => Table, found: B[]): void;
}

export const exchangeTypes = ['direct', 'fanout', 'topic', 'headers'] as const;
export type ExchangeType = (typeof exchangeTypes)[number];

export function createMatcher<B extends Keyed>(type: ExchangeType): Matcher<B> {
  switch (type) {
    case 'direct':
      return new DirectMatcher();
    case 'fanout':
      return new FanoutMatcher();
    case 'topic':
      return new TopicMatcher();
    case 'headers':
      return new HeadersMatcher();
  }
}

class DirectMatcher<B extends Keyed> implements Matcher<B> {
  readonly #byKey = new Map<string, B[]>();

  add(binding: B): void {
    const bindings = this.#byKey.get(binding.routingKey);
    if (bindings === undefined) this.#byKey.set(binding.routingKey, [binding]);
    else bindings.push(binding);
  }

  remove(binding: B): void {
    const left = (this.#byKey.get(binding.routingKey) ?? []).filter((other) => other !== binding);
    if (left.length === 0) this.#byKey.delete(binding.routingKey);
    else this.#byKey.set(binding.routingKey, left);
  }

  match(routingKey: string, _headers: () => Table, found: B[]): void {
    const bindings = this.#byKey.get(routingKey);
    if (bindings !== undefined) for (const binding of bindings) found.push(binding);
  }
}

class FanoutMatcher<B extends Keyed> implements Matcher<B> {
  readonly #all = new Set<B>();

  add(binding: B): void {
    this.#all.add(binding);
  }

  remove(binding: B): void {
    this.#all.delete(binding);
  }

  match(_routingKey: string, _headers: () => Table, found: B[]): void {
    for (const binding of this.#all) found.push(binding);
  }
}

interface TrieNode<B> {
  readonly children: Map<string, TrieNode<B>>;
  readonly bindings: Set<B>;
}

/** Patterns as a trie of words; `*` and `#` are children like others. */
class TopicMatcher<B extends Keyed> implements Matcher<B> {
  readonly #root: TrieNode<B> = { children: new Map(), bindings: new Set() };

  add(binding: B): void {
    let node = this.#root;
    for (const word of words(binding.routingKey)) {
      let child = node.children.get(word);
      if (child === undefined) {
        child = { children: new Map(), bindings: new Set() };
        node.children.set(word, child);
      }
      node = child;
    }
    node.bindings.add(binding);
  }

  remove(binding: B): void {
    const path: { parent: TrieNode<B>; word: string }[] = [];
    let node = this.#root;
    for (const word of words(binding.routingKey)) {
      const child = node.children.get(word);
      if (child === undefined) return;
      path.push({ parent: node, word });
      node = child;
    }
    node.bindings.delete(binding);
    for (let step = path.pop(); step !== undefined; step = path.pop()) {
      if (node.bindings.size > 0 || node.children.size > 0) return;
      step.parent.children.delete(step.word);
      node = step.parent;
    }
  }

  match(routingKey: string, _headers: () => Table, found: B[]): void {
    this.#walk(this.#root, words(routingKey), 0, found, new Map());
  }

  /**
   * `entered` holds, for each `#` node, the first word it was entered at: from there on every word was tried, so several
   * `#` in one pattern cost words times nodes instead of an exponential walk, and no binding is found twice.
   */
  #walk(node: TrieNode<B>, key: readonly string[], at: number, found: B[], entered: Map<TrieNode<B>, number>): void {
    const hash = node.children.get('#');
    if (hash !== undefined) {
      const done = entered.get(hash) ?? key.length + 1;
      entered.set(hash, Math.min(done, at));
      for (let i = at; i < done; i += 1) this.#walk(hash, key, i, found, entered);
    }
    const word = key[at];
    if (word === undefined) {
      for (const binding of node.bindings) found.push(binding);
      return;
    }
    const exact = word === '#' || word === '*' ? undefined : node.children.get(word);
    if (exact !== undefined) this.#walk(exact, key, at + 1, found, entered);
    const star = node.children.get('*');
    if (star !== undefined) this.#walk(star, key, at + 1, found, entered);
  }
}

function words(key: string): readonly string[] {
  return key === '' ? [] : key.split('.');
}

/** `all`, `any`, and `-with-x`, which looks at keys that begin with `x-` too. */
class HeadersMatcher<B extends Keyed> implements Matcher<B> {
  readonly #all = new Set<B>();

  add(binding: B): void {
    this.#all.add(binding);
  }

  remove(binding: B): void {
    this.#all.delete(binding);
  }

  match(_routingKey: string, headers: () => Table, found: B[]): void {
    if (this.#all.size === 0) return;
    const given = headers();
    for (const binding of this.#all) if (headersMatch(binding.arguments, given)) found.push(binding);
  }
}

const headersModes = ['all', 'any', 'all-with-x', 'any-with-x'];

/** Refuses a binding that a headers exchange could not read. @throws {AmqpError} */
export function checkHeadersPattern(pattern: Table): void {
  const mode = pattern.get('x-match');
  if (mode === undefined) return;
  const text = textOf(mode);
  if (mode.type !== 'S' || text === undefined) {
    const value = mode.type === 'V' ? 'undefined' : String(mode.value);
    throw new AmqpError(
      'PRECONDITION_FAILED',
      `Invalid x-match field type ${typeNames[mode.type]} (value ${value}); expected longstr`,
    );
  }
  if (!headersModes.includes(text)) {
    throw new AmqpError(
      'PRECONDITION_FAILED',
      `Invalid x-match field value <<"${text}">>; expected all, any, all-with-x, or any-with-x`,
    );
  }
}

export function headersMatch(pattern: Table, given: Table): boolean {
  const mode = textOf(pattern.get('x-match')) ?? 'all';
  const withX = mode.endsWith('-with-x');
  const isAny = mode.startsWith('any');
  for (const [key, wanted] of pattern) {
    if (key === 'x-match' || (!withX && key.startsWith('x-'))) continue;
    const isMatch = matches(wanted, given.get(key));
    if (isMatch && isAny) return true;
    if (!isMatch && !isAny) return false;
  }
  return !isAny;
}

/** A void in the pattern asks only that the header be there. */
function matches(wanted: Field, given: Field | undefined): boolean {
  return given !== undefined && (wanted.type === 'V' || sameValue(wanted, given));
}
