/**
 * Values as Python would print them: `argsrepr`, `kwargsrepr`, event texts. For people only; nothing parses it.
 * Never throws and never runs away: at most `limit` characters, three levels deep unless told otherwise.
 */
import { FloatValue, TypedValue } from './serialization/typed-values.ts';

const usualLevels = 3;
const more = '...';

/** At most `limit` characters; what is left out shows as `...`. */
export function pythonRepr(value: unknown, limit = 1024, levels = usualLevels): string {
  const text = new Printer(limit, levels).print(value, 0);
  return text.length <= limit ? text : `${text.slice(0, Math.max(0, limit - more.length))}${more}`;
}

/** A list as the tuple that Python's positional arguments are: `(2, 3)`, `(1,)`, `()`. */
export function pythonTupleRepr(items: readonly unknown[], limit = 1024): string {
  const text = new Printer(limit, usualLevels).sequence(items, '(', items.length === 1 ? ',)' : ')', 0);
  return text.length <= limit ? text : `${text.slice(0, Math.max(0, limit - more.length))}${more}`;
}

class Printer {
  /** Characters that may still be printed; closing brackets are not counted, so the room for them is kept back. */
  #left: number;
  readonly #levels: number;

  constructor(limit: number, levels: number) {
    this.#levels = levels;
    this.#left = Math.max(0, limit - 2 * levels - more.length - 2);
  }

  print(value: unknown, level: number): string {
    switch (typeof value) {
      case 'string':
        return this.#text(value);
      case 'number':
        return this.#spend(numberText(value));
      case 'bigint':
        return this.#spend(value.toString().slice(0, this.#left));
      case 'boolean':
        return this.#spend(value ? 'True' : 'False');
      case 'undefined':
        return this.#spend('None');
      case 'object':
        return value === null ? this.#spend('None') : this.#guarded(value, level);
      default:
        return this.#spend(`<${typeof value}>`);
    }
  }

  sequence(items: readonly unknown[], open: string, close: string, level: number): string {
    if (level >= this.#levels) return this.#spend(`${open}${items.length === 0 ? '' : more}${close}`);
    let text = open;
    this.#left -= open.length;
    for (let at = 0; at < items.length; at++) {
      if (at > 0) text += this.#spend(', ');
      if (this.#left <= 0) return `${text}${more}${close}`;
      text += this.print(items[at], level + 1);
    }
    return text + close;
  }

  #guarded(value: object, level: number): string {
    try {
      return this.#object(value, level);
    } catch {
      return this.#spend('<unprintable object>');
    }
  }

  #object(value: object, level: number): string {
    if (Array.isArray(value)) return this.sequence(value, '[', ']', level);
    if (value instanceof Date) return this.#spend(dateText(value));
    if (value instanceof Uint8Array) return this.#bytes(value);
    if (value instanceof TypedValue) return this.#spend(typedText(value));
    if (value instanceof FloatValue) return this.#spend(floatText(value.value));
    if (value instanceof Set)
      return value.size === 0 ? this.#spend('set()') : this.sequence([...value], '{', '}', level);
    if (value instanceof Map) return this.#map([...value], level);
    if (value instanceof Error) return this.#spend(`${value.name}(`) + this.#text(value.message) + this.#spend(')');
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null) return this.#map(Object.entries(value), level);
    if ('toJSON' in value && typeof value.toJSON === 'function' && level < this.#levels) {
      const toJson = value.toJSON as () => unknown;
      return this.print(toJson.call(value), level + 1);
    }
    return this.#spend(`<${value.constructor?.name ?? 'object'} object>`);
  }

  #map(entries: readonly (readonly [unknown, unknown])[], level: number): string {
    if (level >= this.#levels) return this.#spend(entries.length === 0 ? '{}' : `{${more}}`);
    let text = '{';
    this.#left -= 1;
    for (let at = 0; at < entries.length; at++) {
      const [key, child] = entries[at] as readonly [unknown, unknown];
      if (at > 0) text += this.#spend(', ');
      if (this.#left <= 0) return `${text}${more}}`;
      text += `${this.print(key, level + 1)}${this.#spend(': ')}${this.print(child, level + 1)}`;
    }
    return `${text}}`;
  }

  #text(value: string): string {
    const room = Math.max(0, this.#left);
    const shown = value.length > room ? `${value.slice(0, room)}${more}` : value;
    return this.#spend(quoted(shown));
  }

  #bytes(value: Uint8Array): string {
    const room = Math.max(0, Math.floor(this.#left / 4));
    let text = '';
    for (const byte of value.subarray(0, room)) {
      if (byte === 0x5c || byte === 0x27) text += `\\${String.fromCharCode(byte)}`;
      else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
      else text += `\\x${byte.toString(16).padStart(2, '0')}`;
    }
    return this.#spend(`b'${text}${value.length > room ? more : ''}'`);
  }

  #spend(text: string): string {
    this.#left -= text.length;
    return text;
  }
}

/** What needs escaping in a quoted text: quotes, backslashes, control characters, lone surrogates. */
const special = /[^ -&(-[\]-~\u00a1-\ud7ff\ue000-\uffff]/;
const specials = /[\ud800-\udbff][\udc00-\udfff]|[^ -&(-[\]-~\u00a1-\ud7ff\ue000-\uffff]/g;

function quoted(text: string): string {
  if (!special.test(text)) return `'${text}'`;
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  return `${quote}${text.replace(specials, (found) => escaped(found, quote))}${quote}`;
}

function escaped(found: string, quote: string): string {
  switch (found) {
    case "'":
      return quote === "'" ? "\\'" : "'";
    case '\\':
      return '\\\\';
    case '\n':
      return '\\n';
    case '\r':
      return '\\r';
    case '\t':
      return '\\t';
  }
  if (found.length === 2) return found; // a whole pair: an emoji, say
  const code = found.charCodeAt(0);
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
}

function numberText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e21) return String(value);
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  return String(value).replace(/e([+-])(\d)$/, 'e$10$2');
}

function floatText(value: number): string {
  const text = numberText(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}

function dateText(value: Date): string {
  if (Number.isNaN(value.getTime())) return '<invalid date>';
  const fields = [
    value.getUTCFullYear(),
    value.getUTCMonth() + 1,
    value.getUTCDate(),
    value.getUTCHours(),
    value.getUTCMinutes(),
  ];
  const seconds = value.getUTCSeconds();
  const microseconds = value.getUTCMilliseconds() * 1000;
  if (seconds !== 0 || microseconds !== 0) fields.push(seconds);
  if (microseconds !== 0) fields.push(microseconds);
  return `datetime.datetime(${fields.join(', ')}, tzinfo=datetime.timezone.utc)`;
}

function typedText({ type, value }: TypedValue): string {
  const shown = type === 'uuid' ? (value as { hex: string }).hex : String(value);
  const name = type === 'decimal' ? 'Decimal' : type === 'uuid' ? 'UUID' : type;
  return `${name}('${shown.slice(0, 100)}')`;
}
