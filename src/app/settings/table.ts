/**
 * The one table of settings: every row of Celery's, and ours. Types, parser, reference page and redaction are derived.
 * The rows live in `table/`, a file for each family.
 */
import type { Setting } from './setting.ts';
import { broker } from './table/broker.ts';
import { foreign } from './table/foreign.ts';
import { control, general } from './table/general.ts';
import { own } from './table/own.ts';
import { backends, results } from './table/results.ts';
import { routing } from './table/routing.ts';
import { tasks } from './table/tasks.ts';
import { beat, worker } from './table/worker.ts';

/** Families in the order of the reference page. */
export const families = {
  General: general,
  Broker: broker,
  Tasks: tasks,
  Routing: routing,
  Results: results,
  Worker: worker,
  Beat: beat,
  'Remote control and events': control,
  'Only in celery-ts': own,
  'Result backends': backends,
  'Backends that celery-ts does not have': foreign,
} as const;

export const settings = {
  ...general,
  ...broker,
  ...tasks,
  ...routing,
  ...results,
  ...worker,
  ...beat,
  ...control,
  ...own,
  ...backends,
  ...foreign,
} as const satisfies Record<string, Setting<unknown, unknown>>;

export type SettingName = keyof typeof settings;

/** `Object.keys` with the type it has here: the table is sealed. */
export const settingNames = Object.keys(settings) as readonly SettingName[];

/** The row of a name, with what the caller needs not know generalised away. */
export function settingOf(name: SettingName): Setting<unknown, unknown> {
  return settings[name];
}

/** The configuration the program works with: every setting, checked, by its camelCase name. */
export type Config = { readonly [K in SettingName]: ReturnType<(typeof settings)[K]['parse']> };

type Given<K extends SettingName> = Exclude<(typeof settings)[K]['accepts'], undefined> | undefined;

/** `taskAcksLate` → `task_acks_late`. */
export type SnakeCase<Name extends string, Done extends string = ''> = Name extends `${infer Letter}${infer Rest}`
  ? SnakeCase<Rest, Letter extends Lowercase<Letter> ? `${Done}${Letter}` : `${Done}_${Lowercase<Letter>}`>
  : Done;

type CamelGiven = { readonly [K in SettingName]?: Given<K> };
type SnakeGiven = { readonly [K in SettingName as SnakeCase<K>]?: Given<K> };

/**
 * What a user may give: any part of the settings, in camelCase or snake_case, each once. Durations are seconds.
 * @example `{ brokerUrl: 'amqp://localhost', task_acks_late: true }`
 */
export interface CeleryConfig extends CamelGiven, SnakeGiven {
  /** Short for `brokerUrl`. */
  readonly broker?: Given<'brokerUrl'>;
  /** Short for `resultBackend`. */
  readonly backend?: Given<'resultBackend'>;
  /** Celery's old upper-case names are taken too; their values are checked when they are read. */
  readonly [old: `CELERY_${string}` | `CELERYD_${string}` | `CELERYBEAT_${string}` | `BROKER_${string}`]: unknown;
}

/** What is read: typed settings, or anything with such keys (a config module, a Django settings object). */
export type ConfigInput = CeleryConfig | Readonly<Record<string, unknown>>;
