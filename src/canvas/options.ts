/**
 * Call options in the program's words and in the wire's: `groupId` and `group_id`, stamps as options of their own.
 */
import { Signature } from './signature.ts';

/** camelCase options to the map of a signature; undefined ones are left out. */
export function encodeOptions(options: object): Record<string, unknown> {
  const encoded: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (key === 'stamps') Object.assign(encoded, value);
    else encoded[toSnake(key)] = encodeValue(value);
  }
  return encoded;
}

/** The map of a signature to camelCase options; null ones are left out, stamps gathered under `stamps`. */
export function decodeOptions(options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const stampNames = new Set(stampNamesOf(options));
  const stamps: Record<string, unknown> = {};
  const decoded: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(options)) {
    if (value === null || value === undefined) continue;
    if (stampNames.has(key)) stamps[key] = value;
    else decoded[toCamel(key)] = value;
  }
  if (stampNames.size > 0) decoded.stamps = stamps;
  return decoded;
}

/**
 * A signature's stored options under those of its sending: new non-null ones win, except the group id, the list of
 * stamps and every stamp, which keep what is stored.
 */
export function mergeOptions(
  stored: Readonly<Record<string, unknown>>,
  given: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const kept = new Set(['group_id', 'stamped_headers', ...stampNamesOf(stored)]);
  const merged: Record<string, unknown> = { ...stored };
  for (const [key, value] of Object.entries(given)) {
    if (value === null || value === undefined) continue;
    if (kept.has(key) && stored[key] != null) continue;
    merged[key] = value;
  }
  return merged;
}

function stampNamesOf(options: Readonly<Record<string, unknown>>): string[] {
  const names = options.stamped_headers;
  return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
}

function encodeValue(value: unknown): unknown {
  if (value instanceof Signature) return value.toJSON();
  if (Array.isArray(value)) return value.map(encodeValue);
  return value;
}

function toSnake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function toCamel(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
