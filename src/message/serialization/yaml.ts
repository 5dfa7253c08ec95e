/**
 * YAML as PyYAML's safe loader takes it and its safe dumper writes it. Tags make no objects: beyond the plain types only dates and bytes are known.
 * Read by the package `yaml`; written here, in flow style with every text quoted, which leaves PyYAML nothing to guess at.
 */
import { Buffer } from 'node:buffer';
import { DecodeError, EncodeError } from '../../core/errors.ts';
import { formatIsoInstant } from '../iso-date.ts';
import { OptionalPackage } from '../optional-package.ts';
import { isDeeperThan, setOwn } from './json-parser.ts';
import type { Serializer } from './serializer.ts';
import { toWireTree, type WireForms } from './wire-tree.ts';
import { readTags } from './yaml-tags.ts';

type Yaml = typeof import('yaml');

/** Python reads no longer integers, and they would cost quadratic time. */
const tooManyDigits = /\d{4301}/;

/** Nothing has a meaning but what `yaml-tags.ts` gives it; no tag is resolved that is not there. */
const dialect = { version: '1.1', schema: 'failsafe', resolveKnownTags: false, logLevel: 'error' } as const;

/** 100 aliases are more than any sender writes, and few enough to make nothing large of something small. */
const maxAliasCount = 100;

export class YamlSerializer implements Serializer {
  readonly name = 'yaml';
  readonly contentType = 'application/x-yaml';
  readonly contentEncoding = 'utf-8';
  readonly #maxDepth: number;
  readonly #package = new OptionalPackage<Yaml>('yaml', "The serializer 'yaml'", () => import('yaml'));

  constructor(maxDepth: number) {
    this.#maxDepth = maxDepth;
  }

  prepare(): Promise<void> {
    return this.#package.prepare();
  }

  encode(value: unknown): string {
    const parts: string[] = [];
    write(toWireTree(value, forms, this.#maxDepth), parts);
    return `${parts.join('')}\n`;
  }

  decode(payload: string | Uint8Array): unknown {
    const text = payload as string;
    if (tooManyDigits.test(text)) throw new DecodeError('The YAML has an integer of more than 4300 digits.');
    if (isDeeperThan(text, this.#maxDepth) || indicators(this.#maxDepth).test(text)) throw this.#tooDeep();
    const document = this.#package.get().parseDocument(text, { ...dialect, customTags: readTags });
    // An unknown tag is a warning for the package, an error for PyYAML's safe loader.
    const [problem] = [...document.errors, ...document.warnings];
    if (problem !== undefined)
      throw new DecodeError(`This is not YAML: ${problem.message.slice(0, 200)}`, { cause: problem });
    return this.#plain(document.toJS({ maxAliasCount }), 0);
  }

  /** Sets and ordered maps, which nobody expects, become lists and maps. */
  #plain(value: unknown, depth: number): unknown {
    if (typeof value !== 'object' || value === null || value instanceof Date) return value;
    if (depth >= this.#maxDepth) throw this.#tooDeep();
    if (value instanceof Uint8Array) return value;
    if (Array.isArray(value)) return value.map((child) => this.#plain(child, depth + 1));
    if (value instanceof Set) return [...value].map((child) => this.#plain(child, depth + 1));
    const map: Record<string, unknown> = {};
    for (const [key, child] of value instanceof Map ? value : Object.entries(value)) {
      setOwn(map, String(key), this.#plain(child, depth + 1));
    }
    return map;
  }

  #tooDeep(): DecodeError {
    return new DecodeError(`The YAML is nested deeper than ${this.#maxDepth} levels (workerMaxJsonDepth).`);
  }
}

/** `- - - - …`: block collections that open on one line. Those on lines of their own take indentation, so the size of the body limits them. */
function indicators(most: number): RegExp {
  return new RegExp(`(?:[-?:] ){${most + 1}}`);
}

/** A scalar that goes out without quotes. */
class PlainWord {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** kombu's YAML has no Decimal, UUID or time: they go out as text, a date as YAML's own. */
const forms: WireForms = {
  date: (date) => {
    if (formatIsoInstant(date.getTime()) === undefined) {
      throw new EncodeError(`The date ${String(date)} is outside the years 1 to 9999.`);
    }
    return date;
  },
  bytes: (bytes) => bytes,
  typed: ({ type, value }) => {
    if (type === 'datetime' || type === 'date') return new PlainWord(String(value));
    return type === 'uuid' ? (value as { hex: string }).hex : value;
  },
  float: ({ value }) => new PlainWord(floatText(value)),
};

function write(tree: unknown, parts: string[]): void {
  if (tree instanceof Map) {
    let separator = '{';
    for (const [key, child] of tree as Map<string, unknown>) {
      parts.push(separator, keyText(key), ': ');
      write(child, parts);
      separator = ', ';
    }
    parts.push(separator === '{' ? '{}' : '}');
  } else if (Array.isArray(tree)) {
    parts.push('[');
    for (let at = 0; at < tree.length; at++) {
      if (at > 0) parts.push(', ');
      write(tree[at], parts);
    }
    parts.push(']');
  } else {
    parts.push(scalar(tree));
  }
}

function scalar(value: unknown): string {
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'number')
    return Number.isSafeInteger(value) && !Object.is(value, -0) ? String(value) : floatText(value);
  if (value instanceof Date) return formatIsoInstant(value.getTime()) ?? '';
  if (value instanceof PlainWord) return value.text;
  if (value instanceof Uint8Array)
    return `!!binary "${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')}"`;
  return String(value);
}

/** PyYAML looks no further than 1024 characters for the colon of a key, unless it is announced. */
function keyText(key: string): string {
  const text = quoted(key);
  return text.length > 500 ? `? ${text} ` : text;
}

/** JSON's quotes are YAML's, but for characters that YAML does not take unescaped. */
function quoted(text: string): string {
  return JSON.stringify(text).replace(
    unprintable,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

const unprintable = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;

/** `1e+21` is text for PyYAML: a float needs its point. A number beyond 2^53 is a float and looks like one by it. */
function floatText(value: number): string {
  if (Number.isNaN(value)) return '.nan';
  if (!Number.isFinite(value)) return value > 0 ? '.inf' : '-.inf';
  const text = Object.is(value, -0) ? '-0' : String(value);
  if (text.includes('.')) return text;
  return text.includes('e') ? text.replace('e', '.0e') : `${text}.0`;
}
