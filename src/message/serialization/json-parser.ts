/**
 * Python's JSON: `NaN`, `Infinity` and `-Infinity` as bare words, integers of any size (beyond 2^53 a bigint).
 * `JSON.parse` reads everything else and is ten times faster, so this parser is used only where the text needs it.
 * It keeps its own stack: no depth of the text can overflow ours.
 */
import { DecodeError } from '../../core/errors.ts';

/** Python refuses integers of more digits; ours would cost quadratic time. */
const maxIntegerDigits = 4300;
const numberPattern = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
/** What a string may not hold raw (characters below the space), or what makes it need unescaping. */
const needsUnescape = /[^ -\uffff]|\\/;

/** @throws {DecodeError} text that is not JSON, or nested deeper than `maxDepth`. */
export function parseTolerantJson(text: string, maxDepth: number): unknown {
  return new Parser(text, maxDepth).parse();
}

/** Are there more than `maxDepth` lists and maps inside each other? Answers without building anything: under a tenth of the cost of parsing. */
export function isDeeperThan(text: string, maxDepth: number): boolean {
  const { length } = text;
  if (length <= maxDepth) return false;
  let depth = 0;
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      // To the end of the string; a backslash takes the next character with it.
      for (at++; at < length; at++) {
        const inside = text.charCodeAt(at);
        if (inside === 0x22) break;
        if (inside === 0x5c) at++;
      }
    } else if ((code | 0x20) === 0x7b) {
      if (++depth > maxDepth) return true; // [ and {
    } else if ((code | 0x20) === 0x7d) {
      depth--; // ] and }
    }
  }
  return false;
}

/** The place of the quote that closes the string opened at `from`; the end of the text when there is none. */
function endOfString(text: string, from: number): number {
  for (let end = text.indexOf('"', from + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === 0x5c) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return text.length;
}

/** Sets an own property, also one named `__proto__`, which a plain assignment would take for the prototype. */
export function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') {
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  } else {
    target[key] = value;
  }
}

type Open = { readonly list: unknown[] } | { readonly map: Record<string, unknown>; key: string };

class Parser {
  readonly #text: string;
  readonly #maxDepth: number;
  readonly #open: Open[] = [];
  #at = 0;

  constructor(text: string, maxDepth: number) {
    this.#text = text;
    this.#maxDepth = maxDepth;
  }

  parse(): unknown {
    for (;;) {
      let value = this.#startValue();
      if (value === opened) continue;
      for (;;) {
        const open = this.#open.at(-1);
        if (open === undefined) {
          this.#skipSpace();
          if (this.#at < this.#text.length) throw this.#fault('more text after the value');
          return value;
        }
        if (this.#add(open, value)) break;
        this.#open.pop();
        value = 'list' in open ? open.list : open.map;
      }
    }
  }

  /** A whole value, or `opened` after stepping into a list or map that has something in it. */
  #startValue(): unknown {
    this.#skipSpace();
    switch (this.#text[this.#at]) {
      case '{':
        return this.#openMap();
      case '[':
        return this.#openList();
      case '"':
        return this.#string();
      case 't':
        return this.#word('true', true);
      case 'f':
        return this.#word('false', false);
      case 'n':
        return this.#word('null', null);
      case 'N':
        return this.#word('NaN', Number.NaN);
      case 'I':
        return this.#word('Infinity', Number.POSITIVE_INFINITY);
      default:
        return this.#number();
    }
  }

  #openMap(): unknown {
    this.#at++;
    this.#skipSpace();
    const map: Record<string, unknown> = {};
    if (this.#text[this.#at] === '}') {
      this.#at++;
      return map;
    }
    this.#enter({ map, key: this.#key() });
    return opened;
  }

  #openList(): unknown {
    this.#at++;
    this.#skipSpace();
    const list: unknown[] = [];
    if (this.#text[this.#at] === ']') {
      this.#at++;
      return list;
    }
    this.#enter({ list });
    return opened;
  }

  #enter(open: Open): void {
    if (this.#open.length >= this.#maxDepth) {
      throw new DecodeError(`The JSON is nested deeper than ${this.#maxDepth} levels (workerMaxJsonDepth).`);
    }
    this.#open.push(open);
  }

  /** Adds a finished value; true when another one follows, false when the container closes. */
  #add(open: Open, value: unknown): boolean {
    if ('list' in open) open.list.push(value);
    else setOwn(open.map, open.key, value);
    this.#skipSpace();
    const next = this.#text[this.#at];
    this.#at++;
    if (next === ',') {
      if ('map' in open) {
        this.#skipSpace();
        open.key = this.#key();
      }
      return true;
    }
    if (next === ('list' in open ? ']' : '}')) return false;
    this.#at--;
    throw this.#fault("neither ',' nor the closing bracket");
  }

  #key(): string {
    if (this.#text[this.#at] !== '"') throw this.#fault('no key in quotes');
    const key = this.#string();
    this.#skipSpace();
    if (this.#text[this.#at] !== ':') throw this.#fault("no ':' after the key");
    this.#at++;
    return key;
  }

  #string(): string {
    const start = this.#at;
    const end = endOfString(this.#text, start);
    if (end === this.#text.length) throw this.#fault('a string that does not end');
    this.#at = end + 1;
    const raw = this.#text.slice(start + 1, end);
    if (!needsUnescape.test(raw)) return raw;
    try {
      return JSON.parse(this.#text.slice(start, end + 1)) as string;
    } catch {
      this.#at = start;
      throw this.#fault('a string with a bad escape or a raw control character');
    }
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#fault('an unknown word');
    this.#at += word.length;
    return value;
  }

  #number(): number | bigint {
    if (this.#text.startsWith('-Infinity', this.#at)) return this.#word('-Infinity', Number.NEGATIVE_INFINITY);
    numberPattern.lastIndex = this.#at;
    const match = numberPattern.exec(this.#text);
    if (match === null) throw this.#fault('no value');
    const digits = match[0];
    this.#at += digits.length;
    const value = Number(digits);
    if (digits.length < 16 || match[1] !== undefined || match[2] !== undefined || Number.isSafeInteger(value))
      return value;
    if (digits.length > maxIntegerDigits) throw this.#fault(`an integer of more than ${maxIntegerDigits} digits`);
    return BigInt(digits);
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #fault(what: string): DecodeError {
    return new DecodeError(`This is not JSON: ${what} at character ${this.#at}.`);
  }
}

/** Says that a container was entered; never a value of a text. */
const opened = Symbol('opened');
