/**
 * Values of AMQP header tables, as plain as every AMQP library wants them: text, numbers, booleans, null, lists, tables, bytes.
 * Which integer type a number gets on the wire is `amqp/`'s business; here whole numbers stay whole.
 */
import { Buffer } from 'node:buffer';
import { EncodeError } from '../core/errors.ts';
import { formatIsoInstant } from './iso-date.ts';

const deepest = 32;
/** Table keys are AMQP short strings. */
const longestKey = 255;
const smallestInteger = -(2 ** 63);
const largestInteger = 2 ** 63;

/**
 * Undefined is left out (null inside a list), a Date becomes ISO text, a bigint a number where it fits and text otherwise.
 * @throws {EncodeError} what has no form in a header: functions, symbols, NaN, class instances without one, cycles.
 */
export function headerValue(name: string, value: unknown, depth = 0): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'number':
      if (Number.isFinite(value) && value >= smallestInteger && value < largestInteger) return value;
      throw refusal(name, `${value}`);
    case 'bigint':
      return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value.toString();
    case 'undefined':
      return null;
    case 'object':
      break;
    default:
      throw refusal(name, `a ${typeof value}`);
  }
  if (value === null) return null;
  if (depth >= deepest) throw refusal(name, 'nested too deep, or contains itself');
  if (value instanceof Date) {
    const text = formatIsoInstant(value.getTime());
    if (text === undefined) throw refusal(name, 'no date of the years 1 to 9999');
    return text;
  }
  if (value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((child) => headerValue(name, child, depth + 1));
  return headerTable(name, value, depth);
}

/** A key `!` is refused: AMQP libraries take it for a typed value. */
function headerTable(name: string, value: object, depth: number): unknown {
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    const toJson = value.toJSON as () => unknown;
    return headerValue(name, toJson.call(value), depth + 1);
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) throw refusal(name, `a ${value.constructor.name}`);
  const table: Record<string, unknown> = {};
  for (const [key, child] of Object.entries(value)) {
    if (child === undefined) continue;
    checkKey(key);
    table[key] = headerValue(`${name}.${key}`, child, depth + 1);
  }
  return table;
}

/** @throws {EncodeError} */
export function checkKey(key: string): void {
  const isGood = key !== '' && key !== '!' && key !== '__proto__' && Buffer.byteLength(key) <= longestKey;
  if (!isGood)
    throw new EncodeError(`A header cannot be named '${key.slice(0, 40)}': 1 to ${longestKey} bytes, not '!'.`);
}

function refusal(name: string, what: string): EncodeError {
  return new EncodeError(
    `The header '${name.slice(0, 80)}' is ${what}; headers hold text, finite numbers, booleans, null, lists, maps and bytes.`,
  );
}
