/**
 * The validator of task messages: every field is checked before anything else touches it, and the first ill one is an
 * `InvalidTaskError` that names it and shows what was there. Absent and null mean the same, except for `id` and `task`.
 */
import { Buffer } from 'node:buffer';
import { InvalidTaskError } from '../core/errors.ts';
import { parseIsoInstant } from './iso-date.ts';
import { pythonRepr } from './python-repr.ts';

/** An AMQP short string, which ids become in `correlation_id`, holds 255 bytes. */
const longestId = 255;
const longestName = 1024;
/** 31 years. More is no limit, and beyond what timers hold. */
const longestLimitSeconds = 1e9;
const largestCount = 2 ** 31 - 1;
/** The first instant of the year 9001: an eta beyond is a mistake, not a plan. */
const horizon = Date.UTC(9001, 0, 1);

export type Fields = Readonly<Record<string, unknown>>;

export function invalid(field: string, value: unknown, wanted: string): InvalidTaskError {
  const shown = value === undefined ? 'absent' : pythonRepr(value, 100);
  return new InvalidTaskError(`The field '${field}' of the message is ${shown}; it must be ${wanted}.`);
}

export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return !(value instanceof Date) && !ArrayBuffer.isView(value);
}

export function requiredName(fields: Fields, field: string, most: number = longestName): string {
  const value = fields[field];
  if (typeof value !== 'string' || value === '' || value.length > most) throw invalid(field, value, nameRule(most));
  return value;
}

/** The id travels in properties of 255 bytes. */
export function requiredId(fields: Fields): string {
  const value = requiredName(fields, 'id', longestId);
  if (value.length > longestId / 4 && Buffer.byteLength(value) > longestId)
    throw invalid('id', value, nameRule(longestId));
  return value;
}

export function optionalText(fields: Fields, field: string): string | undefined {
  const value = fields[field];
  if (typeof value === 'string') return value;
  if (value === undefined || value === null) return undefined;
  throw invalid(field, value, 'text or null');
}

/** An id or a node name, as short as an id. */
export function optionalName(fields: Fields, field: string): string | undefined {
  const value = optionalText(fields, field);
  if (value !== undefined && value.length > longestName) throw invalid(field, value, nameRule(longestName));
  return value;
}

export function optionalFlag(fields: Fields, field: string): boolean | undefined {
  const value = fields[field];
  if (typeof value === 'boolean') return value;
  if (value === undefined || value === null) return undefined;
  throw invalid(field, value, 'true, false or null');
}

/** A whole number from 0 on; another AMQP library may have sent it as a float. */
export function optionalCount(fields: Fields, field: string): number | undefined {
  const value = fields[field];
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= largestCount) return value;
  throw invalid(field, value, `a whole number from 0 to ${largestCount}, or null`);
}

/** Epoch ms. */
export function optionalEta(fields: Fields, zone: 'utc' | 'local'): number | undefined {
  const instant = optionalInstant(fields, 'eta', zone);
  if (instant !== undefined && instant >= horizon)
    throw invalid('eta', fields.eta, 'a date before the year 9001, or null');
  return instant;
}

/** Epoch ms. */
export function optionalInstant(fields: Fields, field: string, zone: 'utc' | 'local'): number | undefined {
  const value = fields[field];
  if (value === undefined || value === null) return undefined;
  const instant = typeof value === 'string' ? parseIsoInstant(value, zone) : undefined;
  if (instant === undefined) throw invalid(field, value, 'a date in ISO 8601, or null');
  return instant;
}

/** `[hard, soft]` seconds, each perhaps null. Zero is no limit of the message's own. */
export function timeLimits(fields: Fields): readonly [hard: number | undefined, soft: number | undefined] {
  const value = fields.timelimit;
  if (value === undefined || value === null) return noLimits;
  if (!Array.isArray(value) || value.length !== 2) throw invalid('timelimit', value, '[hard, soft] or null');
  const hard: unknown = value[0];
  const soft: unknown = value[1];
  if (hard === null && soft === null) return noLimits;
  return [limitSeconds(hard, value), limitSeconds(soft, value)];
}

const noLimits = [undefined, undefined] as const;

function limitSeconds(limit: unknown, value: unknown): number | undefined {
  if (limit === null || limit === undefined || limit === 0) return undefined;
  if (typeof limit === 'number' && limit > 0 && limit <= longestLimitSeconds) return limit;
  throw invalid('timelimit', value, `[hard, soft] in seconds, each null or from 0 to ${longestLimitSeconds}`);
}

export function optionalNames(fields: Fields, field: string): readonly string[] {
  const value = fields[field];
  if (value === undefined || value === null) return noNames;
  if (Array.isArray(value) && value.every((name) => typeof name === 'string')) return value;
  throw invalid(field, value, 'a list of names, or null');
}

const noNames: readonly string[] = [];

export function optionalMap(fields: Fields, field: string): Fields {
  const value = fields[field];
  if (value === undefined || value === null) return noFields;
  if (isMap(value)) return value;
  throw invalid(field, value, 'a map, or null');
}

const noFields: Fields = Object.freeze(Object.create(null) as Record<string, unknown>);

/** `args`: positional arguments. */
export function argumentList(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  throw invalid('args', value, 'a list');
}

/** `kwargs`: keyword arguments. */
export function argumentMap(value: unknown): Record<string, unknown> {
  if (isMap(value)) return value;
  throw invalid('kwargs', value, 'a map');
}

/** A list of signatures, or null. */
export function optionalSignatures(fields: Fields, field: string): readonly Fields[] | undefined {
  const value = fields[field];
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) throw invalid(field, value, 'a list of signatures, or null');
  for (const signature of value) checkSignature(field, signature);
  return value as readonly Fields[];
}

export function optionalSignature(fields: Fields, field: string): Fields | undefined {
  const value = fields[field];
  if (value === undefined || value === null) return undefined;
  return checkSignature(field, value);
}

function checkSignature(field: string, value: unknown): Fields {
  const isGood =
    isMap(value) &&
    typeof value.task === 'string' &&
    value.task !== '' &&
    (value.args === undefined || value.args === null || Array.isArray(value.args)) &&
    (value.kwargs === undefined || value.kwargs === null || isMap(value.kwargs)) &&
    (value.options === undefined || value.options === null || isMap(value.options));
  if (!isGood) throw invalid(field, value, 'made of signatures: maps with task, args, kwargs and options');
  return value;
}

function nameRule(most: number): string {
  return `text of 1 to ${most} bytes`;
}
