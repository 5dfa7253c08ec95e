/**
 * A value as a tree of what every serializer can write: null, booleans, numbers, bigints, text, lists and maps, plus what the
 * serializer itself makes of dates, bytes and typed values. What has no form on the wire is refused here, with the place where it stands.
 */
import { EncodeError } from '../../core/errors.ts';
import { FloatValue, TypedValue } from './typed-values.ts';

/** What a serializer makes of the values that JSON has no word for. The answer is taken as it is. */
export interface WireForms {
  date(date: Date): unknown;
  bytes(bytes: Uint8Array): unknown;
  typed(value: TypedValue): unknown;
  float(value: FloatValue): unknown;
  /** Of an object that is neither of these nor plain; undefined: nothing special. */
  custom?(value: object): unknown;
}

/**
 * `undefined` is null in a list and at the top, and left out of a map (as in JSON); `toJSON` is honoured; class instances are maps of their own keys.
 * @throws {EncodeError} functions, symbols, cycles, Map, Set, Promise, Error and the like, or nesting deeper than `maxDepth`.
 */
export function toWireTree(value: unknown, forms: WireForms, maxDepth: number): unknown {
  return new Walk(forms, maxDepth).convert(value, '');
}

class Walk {
  readonly #forms: WireForms;
  readonly #maxDepth: number;
  readonly #path: (string | number)[] = [];
  readonly #above: object[] = [];

  constructor(forms: WireForms, maxDepth: number) {
    this.#forms = forms;
    this.#maxDepth = maxDepth;
  }

  /** `key` is the name the value has in its map, which `toJSON` is told. */
  convert(value: unknown, key: string): unknown {
    switch (typeof value) {
      case 'string':
      case 'number':
      case 'boolean':
      case 'bigint':
        return value;
      case 'undefined':
        return null;
      case 'function':
        throw this.#refusal(
          `a function${value.name === '' ? '' : ` (${value.name})`}`,
          'Send data, or the name of a task.',
        );
      case 'symbol':
        throw this.#refusal('a symbol', 'Send its description.');
      case 'object':
        return value === null ? null : this.#object(value, key);
    }
  }

  #object(value: object, key: string): unknown {
    if (Array.isArray(value)) return this.#list(value);
    const prototype: unknown = Object.getPrototypeOf(value);
    const isPlain = prototype === Object.prototype || prototype === null;
    const special = isPlain ? undefined : this.#special(value);
    if (special !== undefined) return special;
    const custom = this.#forms.custom?.(value);
    if (custom !== undefined) return this.#instead(value, custom, key);
    if ('toJSON' in value && typeof value.toJSON === 'function') {
      const toJson = value.toJSON as (key: string) => unknown;
      return this.#instead(value, toJson.call(value, key), key);
    }
    const kind = isPlain ? undefined : kinds.find(([type]) => value instanceof type);
    if (kind !== undefined) throw this.#refusal(kind[1], kind[2]);
    return this.#map(value as Record<string, unknown>);
  }

  /** What stands for an object of a class that every serializer knows; undefined for others. */
  #special(value: object): unknown {
    if (value instanceof Date) return this.#forms.date(value);
    if (ArrayBuffer.isView(value)) return this.#view(value);
    if (value instanceof ArrayBuffer) return this.#forms.bytes(new Uint8Array(value));
    if (value instanceof TypedValue) return this.#forms.typed(value);
    if (value instanceof FloatValue) return this.#forms.float(value);
    if (value instanceof Number || value instanceof String || value instanceof Boolean || value instanceof BigInt) {
      return value.valueOf();
    }
    return undefined;
  }

  #instead(value: object, other: unknown, key: string): unknown {
    this.#enter(value);
    const tree = this.convert(other, key);
    this.#above.pop();
    return tree;
  }

  #list(list: readonly unknown[]): unknown[] {
    this.#enter(list);
    const tree: unknown[] = [];
    for (let at = 0; at < list.length; at++) {
      this.#path.push(at);
      tree.push(this.convert(list[at], ''));
      this.#path.pop();
    }
    this.#above.pop();
    return tree;
  }

  #map(map: Readonly<Record<string, unknown>>): Map<string, unknown> {
    this.#enter(map);
    const tree = new Map<string, unknown>();
    for (const key of Object.keys(map)) {
      const child = map[key];
      if (child === undefined) continue;
      this.#path.push(key);
      tree.set(key, this.convert(child, key));
      this.#path.pop();
    }
    this.#above.pop();
    return tree;
  }

  #view(view: ArrayBufferView): unknown {
    if (view instanceof Uint8Array) return this.#forms.bytes(view);
    if (view instanceof DataView) throw this.#refusal('a DataView', 'Send a Uint8Array.');
    return Array.from(view as unknown as Iterable<number | bigint>);
  }

  #enter(value: object): void {
    if (this.#above.includes(value))
      throw this.#refusal('a reference back to what contains it (a cycle)', 'Send a tree.');
    if (this.#above.length >= this.#maxDepth) {
      throw new EncodeError(`The value is nested deeper than ${this.#maxDepth} levels (workerMaxJsonDepth).`);
    }
    this.#above.push(value);
  }

  #refusal(what: string, cure: string): EncodeError {
    const place = this.#path
      .slice(0, 20)
      .map((step) => (typeof step === 'number' ? `[${step}]` : `.${step.slice(0, 40)}`))
      .join('');
    return new EncodeError(
      `The value${place === '' ? '' : ` at ${place}`} is ${what}, which has no form on the wire. ${cure}`,
    );
  }
}

/** Objects that JSON would silently turn into `{}`. */
const kinds: readonly (readonly [abstract new (...args: never[]) => object, string, string])[] = [
  [Map, 'a Map', 'Send Object.fromEntries(map), or [...map].'],
  [Set, 'a Set', 'Send [...set].'],
  [Promise, 'a promise', 'Was an await forgotten?'],
  [Error, 'an Error', 'Throw it, or send its message.'],
  [RegExp, 'a RegExp', 'Send its source.'],
  [WeakMap, 'a WeakMap', 'Send a plain object.'],
  [WeakSet, 'a WeakSet', 'Send a list.'],
  [WeakRef, 'a WeakRef', 'Send what it refers to.'],
];
