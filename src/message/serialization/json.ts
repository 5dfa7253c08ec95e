/**
 * JSON as kombu writes and reads it: typed values, bare `NaN` and `Infinity`, integers of any size.
 * Most bodies need none of that; `JSON.parse` and `JSON.stringify` then do the work, after a look that costs a fraction of theirs.
 */
import { DecodeError, EncodeError } from '../../core/errors.ts';
import { isDeeperThan, parseTolerantJson } from './json-parser.ts';
import type { RawValue, Serializer } from './serializer.ts';
import { bytesMap, datetimeMap, FloatValue, kombuTypes, type ReadTyped, reviveTyped } from './typed-values.ts';
import { toWireTree, type WireForms } from './wire-tree.ts';

/** A type of a user's own inside JSON. Celery: `kombu.utils.json.register_type`. */
export interface JsonType {
  /** What stands as `__type__`; peers must know it, for them an unknown one is an error. */
  readonly marker: string;
  matches(value: object): boolean;
  /** What stands as `__value__`. */
  encode(value: object): unknown;
  decode(value: unknown): unknown;
}

/** Sixteen digits where a value may begin: perhaps an integer beyond 2^53. Fractions and most text do not look like it. */
const perhapsBigInteger = /(?:^|[[,:\s-])\d{16}/;
/** The mark of a typed value, also with its underscore escaped. */
const perhapsTyped = /__type__|\\u005[fF]/;

export class JsonSerializer implements Serializer {
  readonly name = 'json';
  readonly contentType = 'application/json';
  readonly contentEncoding = 'utf-8';
  readonly #maxDepth: number;
  readonly #types: JsonType[] = [];
  readonly #readers = new Map<string, ReadTyped>(kombuTypes);
  readonly #forms: WireForms;

  constructor(maxDepth: number) {
    this.#maxDepth = maxDepth;
    this.#forms = {
      date: (date) => asTree(datetimeMap(date)),
      bytes: (bytes) => asTree(bytesMap(bytes)),
      typed: (value) => asTree({ __type__: value.type, __value__: value.value }),
      float: (value) => value,
      custom: (value) => this.#custom(value),
    };
  }

  registerType(type: JsonType): void {
    this.#types.push(type);
    this.#readers.set(type.marker, (value) => type.decode(value));
  }

  encode(value: unknown): string {
    if (value !== undefined && isPlain(value, this.#maxDepth)) return JSON.stringify(value);
    return write(toWireTree(value, this.#forms, this.#maxDepth));
  }

  decode(payload: string | Uint8Array): unknown {
    const { value, revive } = this.decodeRaw(payload);
    return revive === undefined ? value : revive(value);
  }

  decodeRaw(payload: string | Uint8Array): RawValue {
    const text = payload as string;
    const value = this.#parse(text);
    return { value, revive: perhapsTyped.test(text) ? (part) => reviveTyped(part, this.#readers) : undefined };
  }

  #parse(text: string): unknown {
    if (isDeeperThan(text, this.#maxDepth)) {
      throw new DecodeError(`The JSON is nested deeper than ${this.#maxDepth} levels (workerMaxJsonDepth).`);
    }
    if (perhapsBigInteger.test(text)) return parseTolerantJson(text, this.#maxDepth);
    try {
      return JSON.parse(text);
    } catch {
      return parseTolerantJson(text, this.#maxDepth); // NaN and Infinity, or a message that says where it breaks
    }
  }

  #custom(value: object): unknown {
    const type = this.#types.find((each) => each.matches(value));
    return type === undefined ? undefined : new TypedEnvelope(type.marker, type.encode(value));
  }
}

/** A map of two keys whose value is still to be converted. */
class TypedEnvelope {
  readonly __type__: string;
  readonly __value__: unknown;

  constructor(type: string, value: unknown) {
    this.__type__ = type;
    this.__value__ = value;
  }
}

/** Would `JSON.stringify` write exactly this value? (Not for bigint, NaN, floats beyond 2^53, dates, bytes, class instances, or too deep.) */
function isPlain(value: unknown, depthLeft: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return true;
    case 'number':
      return value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER;
    case 'object':
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (depthLeft === 0) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Array.prototype) {
    for (const child of value as unknown[]) if (!isPlain(child, depthLeft - 1)) return false;
    return true;
  }
  if (prototype !== Object.prototype && prototype !== null) return false;
  const map = value as Record<string, unknown>;
  for (const key of Object.keys(map)) if (!isPlain(map[key], depthLeft - 1)) return false;
  return true;
}

/** A small plain value as a wire tree, whose maps are Maps. */
function asTree(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asTree);
  if (typeof value !== 'object' || value === null) return value;
  return new Map(Object.entries(value).map(([key, child]) => [key, asTree(child)]));
}

function write(tree: unknown): string {
  if (tree instanceof Map) {
    let text = '';
    for (const [key, child] of tree as Map<string, unknown>) {
      text += `${text === '' ? '{' : ','}${quoted(key)}:${write(child)}`;
    }
    return text === '' ? '{}' : `${text}}`;
  }
  if (Array.isArray(tree)) {
    let text = '';
    for (let at = 0; at < tree.length; at++) text += `${at === 0 ? '[' : ','}${write(tree[at])}`;
    return text === '' ? '[]' : `${text}]`;
  }
  return leaf(tree);
}

/** What `JSON.stringify` escapes. Most text has none of it and is quoted four times as fast without asking. */
const needsEscape = /[^ !#-[\]-\ud7ff\ue000-\uffff]/;

function quoted(text: string): string {
  return needsEscape.test(text) ? JSON.stringify(text) : `"${text}"`;
}

function leaf(value: unknown): string {
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'bigint') return integerText(value);
  if (value instanceof FloatValue) return floatText(value.value);
  if (typeof value === 'number') return numberText(value);
  return JSON.stringify(value);
}

/**
 * NaN and the infinities go out as the bare words they print as: Python writes and reads them so. A number beyond 2^53 is a float
 * (an integer would be a bigint) and must look like one, or the receiver takes it for a bigint.
 */
function numberText(value: number): string {
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) return floatText(value);
  return String(value === 0 ? 0 : value);
}

function floatText(value: number): string {
  const text = String(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

function integerText(value: bigint): string {
  const text = value.toString();
  if (text.length > 4300)
    throw new EncodeError(`An integer of ${text.length} digits is more than Python reads (4300).`);
  return text;
}
