/**
 * YAML 1.1, as PyYAML's safe dumper and loader speak it, by the package `yaml`.
 * Tags make no objects: beyond the plain types only dates and bytes are known, as for `yaml.safe_load`.
 */
import type { ScalarTag } from 'yaml';
import { DecodeError, EncodeError } from '../../core/errors.ts';
import { formatIsoInstant } from '../iso-date.ts';
import { OptionalPackage } from '../optional-package.ts';
import { isDeeperThan, setOwn } from './json-parser.ts';
import type { Serializer } from './serializer.ts';
import { toWireTree, type WireForms } from './wire-tree.ts';

type Yaml = typeof import('yaml');

/** Python reads no longer integers, and they would cost quadratic time. */
const tooManyDigits = /\d{4301}/;

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
    const { Document } = this.#package.get();
    const document = new Document(toWireTree(value, forms, this.#maxDepth), {
      version: '1.1',
      customTags: (tags) => [timestamp, float, ...tags],
      aliasDuplicateObjects: false,
    });
    return document.toString({ lineWidth: 0 });
  }

  decode(payload: string | Uint8Array): unknown {
    const text = payload as string;
    if (tooManyDigits.test(text)) throw new DecodeError('The YAML has an integer of more than 4300 digits.');
    if (isDeeperThan(text, this.#maxDepth) || indicators(this.#maxDepth).test(text)) throw this.#tooDeep();
    const document = this.#package.get().parseDocument(text, { version: '1.1', intAsBigInt: true, logLevel: 'error' });
    // An unknown tag is a warning for the package, an error for PyYAML's safe loader.
    const [problem] = [...document.errors, ...document.warnings];
    if (problem !== undefined)
      throw new DecodeError(`This is not YAML: ${problem.message.slice(0, 200)}`, { cause: problem });
    return this.#plain(document.toJS({ maxAliasCount }), 0);
  }

  /** Integers that fit become numbers again; sets and ordered maps, which nobody expects, become lists and maps. */
  #plain(value: unknown, depth: number): unknown {
    if (typeof value === 'bigint') {
      const number = Number(value);
      return Number.isSafeInteger(number) ? number : value;
    }
    if (typeof value !== 'object' || value === null || value instanceof Date) return value;
    if (depth >= this.#maxDepth) throw this.#tooDeep();
    if (value instanceof Uint8Array) return new Uint8Array(value);
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
    if (type === 'datetime' || type === 'date') return new Date(String(value));
    return type === 'uuid' ? (value as { hex: string }).hex : value;
  },
  float: ({ value }) => value,
};

/** The package drops `Z` and a midnight, which makes naive datetimes and mere dates of them in Python. */
const timestamp: ScalarTag = {
  identify: (value) => value instanceof Date,
  default: true,
  tag: 'tag:yaml.org,2002:timestamp',
  test: /(?!)/,
  resolve: (text) => text,
  stringify: ({ value }) => formatIsoInstant((value as Date).getTime()) ?? '',
};

/** `1e+21` is text for PyYAML: a float needs its point. So does one beyond 2^53, to be no integer. */
const float: ScalarTag = {
  identify: (value) => typeof value === 'number' && Number.isFinite(value) && needsPoint(value),
  default: true,
  tag: 'tag:yaml.org,2002:float',
  test: /(?!)/,
  resolve: (text) => text,
  stringify: ({ value }) => {
    const text = String(value);
    if (text.includes('.')) return text;
    return text.includes('e') ? text.replace('e', '.0e') : `${text}.0`;
  },
};

function needsPoint(value: number): boolean {
  return (Number.isInteger(value) && !Number.isSafeInteger(value)) || /^-?\de/.test(String(value));
}
