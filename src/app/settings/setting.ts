/**
 * What one row of the settings table is made of, and the kinds of rows: `flag`, `text`, `count`, `seconds` …
 * A row knows its type, default, unit, bounds, sentence and old names, and parses what a user gave.
 * Which names a row goes by is `names.ts`; reading a whole configuration is `parse.ts`.
 */
import { ImproperlyConfigured } from '../../core/errors.ts';

export type Unit = 's' | 'ms' | 'KiB' | 'bytes';

/** Where a value was written: `text` (environment, command line) is read with more patience than a program's value. */
export type Origin = 'program' | 'text';

/** A length of time as a number of seconds, or in words: `{ hours: 1, minutes: 30 }`. */
export type Seconds = number | TimeSpan;

export interface TimeSpan {
  readonly weeks?: number;
  readonly days?: number;
  readonly hours?: number;
  readonly minutes?: number;
  readonly seconds?: number;
  readonly milliseconds?: number;
}

export interface Setting<T, Given = T> {
  /** How the type reads in the reference: `boolean`, `seconds`, `'classic' | 'quorum'`. */
  readonly type: string;
  readonly default: T;
  readonly sentence: string;
  readonly unit?: Unit | undefined;
  readonly min?: number | undefined;
  readonly max?: number | undefined;
  /** Celery's old upper-case names; undefined: the name itself in upper case. */
  readonly old?: readonly string[] | undefined;
  /** Why the setting is accepted and changes nothing here. */
  readonly noEffect?: string | undefined;
  /** Which parts of a value change nothing here, and why; undefined: none. */
  readonly idleParts?: ((value: unknown) => string | undefined) | undefined;
  /** Why it should not be used any more, and what to use. */
  readonly deprecated?: string | undefined;
  /** Celery's default, where ours differs. */
  readonly celeryDefault?: unknown;
  /** Its value is never shown. */
  readonly secret?: boolean | undefined;
  /** @throws {ImproperlyConfigured} Says what the value must be: "must be true or false, not 'maybe'". */
  parse(value: unknown, origin?: Origin): T;
  /** What a user may write; never set. */
  readonly accepts?: Given;
}

export type More = Partial<
  Pick<
    Setting<unknown>,
    'unit' | 'min' | 'max' | 'old' | 'noEffect' | 'idleParts' | 'deprecated' | 'celeryDefault' | 'secret' | 'type'
  >
>;

export function flag<D extends boolean | undefined>(initial: D, sentence: string, more: More = {}) {
  return row<boolean | D>('boolean', initial, sentence, more, (value, origin) => {
    if (typeof value === 'boolean') return value;
    const word = typeof value === 'string' ? value.trim().toLowerCase() : undefined;
    if (word === 'true') return true;
    if (word === 'false') return false;
    if (origin === 'text' && word !== undefined) {
      if (['yes', 'on', '1'].includes(word)) return true;
      if (['no', 'off', '0', ''].includes(word)) return false;
    }
    return unfit('true or false', value);
  });
}

export function text<D extends string | undefined>(initial: D, sentence: string, more: More = {}) {
  return row<string | D>('string', initial, sentence, more, (value) =>
    typeof value === 'string' ? value : unfit('text', value),
  );
}

/** A list of texts; a single text is a list of one, and commas separate where it comes from the environment. */
export function texts<D extends readonly string[] | undefined>(initial: D, sentence: string, more: More = {}) {
  return row<readonly string[] | Extract<D, undefined>, readonly string[] | string | Extract<D, undefined>>(
    'string[]',
    initial as readonly string[] | Extract<D, undefined>,
    sentence,
    more,
    (value, origin) => {
      if (typeof value === 'string') return origin === 'text' ? words(value) : [value];
      const list = value instanceof Set ? [...value] : value;
      return Array.isArray(list) && list.every((item) => typeof item === 'string')
        ? list
        : unfit('a list of texts', value);
    },
  );
}

/** A whole number, 0 or more unless `min` says otherwise. */
export function count<D extends number | undefined>(initial: D, sentence: string, more: More = {}) {
  const bounds = { min: 0, ...more };
  return row<number | D>('integer', initial, sentence, bounds, (value) => {
    const given = numeric(value);
    if (given === undefined || !Number.isSafeInteger(given)) return unfit('a whole number', value);
    return within(given, bounds);
  });
}

export function number<D extends number | undefined>(initial: D, sentence: string, more: More = {}) {
  return row<number | D>('number', initial, sentence, more, (value) => {
    const given = numeric(value);
    return given === undefined ? unfit('a number', value) : within(given, more);
  });
}

/** A length of time; held as a number of seconds, 0 or more unless `min` says otherwise. */
export function seconds<D extends number | undefined>(initial: D, sentence: string, more: More = {}) {
  const bounds: More = { min: 0, unit: 's', ...more };
  return row<number | D, Seconds | D>('seconds', initial, sentence, bounds, (value) => {
    const given = typeof value === 'object' && value !== null ? spanSeconds(value) : numeric(value);
    return given === undefined || !Number.isFinite(given)
      ? unfit('a number of seconds, or { hours, minutes, seconds }', value)
      : within(given, bounds);
  });
}

/** One of a few words or numbers; `aliases` are other spellings of them. */
export function choice<const C extends string | number, D extends C | undefined>(
  choices: readonly C[],
  initial: D,
  sentence: string,
  more: More & { readonly aliases?: Readonly<Record<string, C>> } = {},
) {
  const { aliases = {}, ...rest } = more;
  const type = choices.map((value) => show(value)).join(' | ');
  return row<C | D, C | D | string>(type, initial, sentence, rest, (value) => {
    const chosen = choices.find((one) => one === value || String(one) === value);
    if (chosen !== undefined) return chosen;
    const alias = typeof value === 'string' && Object.hasOwn(aliases, value) ? aliases[value] : undefined;
    return alias ?? unfit(`one of ${choices.map((one) => show(one)).join(', ')}`, value);
  });
}

/** An object; the keys of its first level may be given in snake_case too and are held in camelCase. */
export function options<T extends object | undefined>(initial: T, sentence: string, more: More = {}) {
  return row<T>('object', initial, sentence, more, (value, origin) => {
    const given = origin === 'text' && typeof value === 'string' ? json(value) : value;
    if (!isRecord(given)) return unfit('an object', value);
    return Object.fromEntries(Object.entries(given).map(([key, held]) => [camelCase(key), held])) as T;
  });
}

/** A value with a shape of its own: `check` returns it, or says with `unfit` what it must be. */
export function shaped<T, Given = T>(
  type: string,
  initial: T,
  sentence: string,
  check: (value: unknown, origin: Origin) => T,
  more: More = {},
) {
  return row<T, Given>(type, initial, sentence, more, (value, origin) =>
    check(origin === 'text' && typeof value === 'string' && /^\s*[[{]/.test(value) ? json(value) : value, origin),
  );
}

/** The same setting, which may also be switched off with `null`. */
export function optional<T, Given>(setting: Setting<T, Given>): Setting<T | undefined, Given | undefined | null> {
  const { accepts: _, ...rest } = setting;
  return { ...rest, parse: (value, origin) => (value === null ? undefined : setting.parse(value, origin)) };
}

/** @throws {ImproperlyConfigured} always: what a value must be, and what it was. */
export function unfit(wanted: string, value: unknown): never {
  throw new ImproperlyConfigured(`must be ${wanted}, not ${show(value)}`);
}

/** For `idleParts`: says of an object's keys which of them are not among those that do something. */
export function keysBeside(known: readonly string[], why: string): (value: unknown) => string | undefined {
  return (value) => {
    const idle = isRecord(value) ? Object.keys(value).filter((key) => !known.includes(key)) : [];
    return idle.length === 0 ? undefined : `${idle.map((key) => `\`${key}\``).join(', ')}: ${why}`;
  };
}

/** A value in a few words, for a message. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 60 ? `${value.slice(0, 57)}...` : value}'`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'function') return value.name === '' ? 'a function' : `the function ${value.name}`;
  if (typeof value === 'object' && value !== null) return `an object of ${value.constructor?.name ?? 'no class'}`;
  return String(value);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `task_acks_late` → `taskAcksLate`. */
export function camelCase(name: string): string {
  return name.replace(/(?<=.)_+([a-zA-Z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function row<T, Given = T>(
  type: string,
  initial: T,
  sentence: string,
  more: More,
  read: (value: unknown, origin: Origin) => T,
): Setting<T, undefined extends T ? Given | null : Given> {
  return {
    type,
    default: initial,
    sentence,
    ...more,
    parse: (value, origin = 'program') => {
      if ((value === null || value === undefined) && initial === undefined) return initial;
      return read(value, origin);
    },
  };
}

function numeric(value: unknown): number | undefined {
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'string' && value.trim() !== '') {
    const parsed = Number(value);
    return Number.isNaN(parsed) ? undefined : parsed;
  }
  return typeof value === 'number' && !Number.isNaN(value) ? value : undefined;
}

function within(value: number, { min, max }: More): number {
  if (min !== undefined && value < min) return unfit(`${min} or more`, value);
  if (max !== undefined && value > max) return unfit(`${max} or less`, value);
  return value;
}

const secondsOf: Readonly<Record<string, number>> = {
  weeks: 604_800,
  days: 86_400,
  hours: 3_600,
  minutes: 60,
  seconds: 1,
  milliseconds: 0.001,
};

function spanSeconds(span: object): number | undefined {
  const parts = Object.entries(span);
  if (parts.length === 0) return undefined;
  let total = 0;
  for (const [unit, amount] of parts) {
    const factor = Object.hasOwn(secondsOf, unit) ? secondsOf[unit] : undefined;
    if (factor === undefined || typeof amount !== 'number') return undefined;
    total += amount * factor;
  }
  return total;
}

function words(value: string): string[] {
  return value
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
}

function json(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return unfit('JSON', value);
  }
}
