/**
 * From what users give to the `Config` of the program: sources are read in order, later ones over earlier ones, every
 * problem is gathered, and one `ImproperlyConfigured` lists them all.
 * Precedence, weakest first: defaults, `new Celery()`, config objects and modules, `app.conf` changes, the environment, flags.
 */
import { ImproperlyConfigured } from '../../core/errors.ts';
import { redactText } from '../../core/redact.ts';
import { isOurs, settingNamed, snakeCase, suggestion } from './names.ts';
import { isRecord, type Origin } from './setting.ts';
import { type Config, type ConfigInput, type SettingName, settingNames, settingOf } from './table.ts';

/** One place settings come from. */
export interface ConfigSource {
  readonly settings: ConfigInput;
  /** Named in problems: `./celeryconfig.ts`, `the environment`. */
  readonly from?: string | undefined;
  /** Only keys that begin with this and `_` are ours; the others belong to somebody else. */
  readonly namespace?: string | undefined;
  /** `text`: values are texts of the environment or the command line. */
  readonly origin?: Origin | undefined;
}

/** A configuration and what is worth knowing of how it came about. */
export interface ResolvedConfig {
  readonly config: Config;
  /** The settings that were given, as opposed to defaults. */
  readonly given: ReadonlySet<SettingName>;
  /** Settings that were given and change nothing here, wholly or in part, each with the reason: to be reported once. */
  readonly noEffect: readonly Remark[];
  /** Settings that were given and have a successor, each with what to use. */
  readonly deprecated: readonly Remark[];
}

export interface Remark {
  readonly name: SettingName;
  readonly why: string;
}

/** The environment: `process.env`, or a test's. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads one object of settings over the defaults, and the environment's over it.
 * @throws {ImproperlyConfigured} Lists every unknown or ill-typed key, with the nearest known name.
 * @example parseConfig({ taskAcksLate: false, worker_concurrency: 4 }).workerConcurrency // 4
 */
export function parseConfig(
  input: ConfigInput = {},
  options: { readonly namespace?: string | undefined; readonly env?: Environment | undefined } = {},
): Config {
  const sources: ConfigSource[] = [{ settings: input, namespace: options.namespace }];
  if (options.env !== undefined) sources.push(environmentSource(options.env));
  return resolveConfig(sources).config;
}

/**
 * Reads sources in order, later over earlier; settings nobody gave have their defaults.
 * @throws {ImproperlyConfigured} Lists every problem of every source.
 */
export function resolveConfig(sources: readonly ConfigSource[]): ResolvedConfig {
  const problems: string[] = [];
  const values = new Map<SettingName, unknown>();
  for (const source of sources) {
    for (const [name, value] of readSource(source, problems)) values.set(name, value);
  }
  const config = withDefaults(values, problems);
  if (problems.length > 0) throw new ImproperlyConfigured(listed(problems));
  const given = new Set(values.keys());
  return {
    config,
    given,
    noEffect: remarks(given, (name) => settingOf(name).noEffect ?? settingOf(name).idleParts?.(values.get(name))),
    deprecated: remarks(given, (name) => settingOf(name).deprecated),
  };
}

/**
 * The checked values of one source, without defaults.
 * @throws {ImproperlyConfigured} Lists every problem.
 */
export function parseSource(source: ConfigSource): Partial<Config> {
  const problems: string[] = [];
  const values = readSource(source, problems);
  if (problems.length > 0) throw new ImproperlyConfigured(listed(problems));
  return Object.fromEntries(values) as Partial<Config>;
}

/** Environment variables that override their settings; empty ones count as absent. */
export const environmentVariables = {
  CELERY_BROKER_URL: 'brokerUrl',
  CELERY_BROKER_READ_URL: 'brokerReadUrl',
  CELERY_BROKER_WRITE_URL: 'brokerWriteUrl',
  CELERY_RESULT_BACKEND: 'resultBackend',
} as const satisfies Record<string, SettingName>;

/** What the environment sets. */
export function environmentSource(env: Environment): ConfigSource {
  const found = Object.keys(environmentVariables).flatMap((name) => (env[name] ? [[name, env[name]]] : []));
  const bySetting = found.map(([name, value]) => [
    environmentVariables[name as keyof typeof environmentVariables],
    value,
  ]);
  return { settings: Object.fromEntries(bySetting), from: 'the environment', origin: 'text' };
}

/**
 * Settings written as arguments after `--`: `worker.prefetch_multiplier=2`, `worker_prefetch_multiplier=2`,
 * `.prefetch_multiplier=2` (the family of the command), `task.time_limit=(int)60`. Celery: `config_from_cmdline`.
 * @throws {ImproperlyConfigured} when an argument has no `=`.
 */
export function argumentsSource(args: readonly string[], family: string): ConfigSource {
  const pairs = args.map((arg): [string, string] => {
    const cut = arg.indexOf('=');
    if (cut <= 0) throw new ImproperlyConfigured(`'${redactText(arg)}' is no setting: write it as name=value.`);
    const key = arg.slice(0, cut);
    const name = /^[._]/.test(key) ? `${family}_${key.slice(1)}` : key;
    const value = arg.slice(cut + 1).replace(/^\((?:int|float|bool|str|string|tuple|list|any|dict)\)/, '');
    return [name.replaceAll('.', '_'), value];
  });
  return { settings: Object.fromEntries(pairs), from: 'the command line', origin: 'text' };
}

function readSource(source: ConfigSource, problems: string[]): Map<SettingName, unknown> {
  const { namespace, origin = 'program' } = source;
  const where = source.from === undefined ? '' : ` (in ${source.from})`;
  const values = new Map<SettingName, unknown>();
  const spelledAs = new Map<SettingName, string>();
  for (const [key, value] of entriesOf(source)) {
    if (value === undefined) continue;
    const name = settingNamed(key, namespace);
    if (name === undefined) {
      const problem = unknown(key, value, namespace);
      if (problem !== undefined) problems.push(`${problem}${where}`);
      continue;
    }
    const before = spelledAs.get(name);
    if (before !== undefined) {
      problems.push(`'${before}' and '${key}' are the same setting: give it once${where}`);
      continue;
    }
    spelledAs.set(name, key);
    try {
      values.set(name, settingOf(name).parse(value, origin));
    } catch (error) {
      if (!(error instanceof ImproperlyConfigured)) throw error;
      problems.push(
        `'${key}' ${settingOf(name).secret ? withoutValue(error.message) : redactText(error.message)}${where}`,
      );
    }
  }
  return values;
}

function entriesOf(source: ConfigSource): [string, unknown][] {
  const given: unknown = source.settings;
  if (!isRecord(given))
    throw new ImproperlyConfigured(`Settings must be an object${source.from ? ` (in ${source.from})` : ''}.`);
  return Object.entries(given);
}

/** What is wrong with a key that names no setting; nothing, where it is somebody else's or a helper of a config module. */
function unknown(key: string, value: unknown, namespace: string | undefined): string | undefined {
  if (!isOurs(key, namespace)) return undefined;
  const near = suggestion(key, namespace);
  if (near !== undefined) return `'${key}' is unknown; did you mean '${near}'?`;
  return typeof value === 'function' || moduleKeys.has(key) ? undefined : `'${key}' is unknown`;
}

/** "must be text, not 12345" → "must be text": the value may be the secret, mistyped. */
function withoutValue(problem: string): string {
  return problem.replace(/, not .*$/s, '');
}

/** What loaders add to the exports of a module. */
const moduleKeys = new Set(['__esModule', 'default', 'module.exports']);

function listed(problems: readonly string[]): string {
  if (problems.length === 1) return `Setting ${problems[0]}`;
  return `${problems.length} settings cannot be used:\n${problems.map((problem) => `  ${problem}`).join('\n')}`;
}

function remarks(given: ReadonlySet<SettingName>, about: (name: SettingName) => string | undefined): Remark[] {
  return [...given].flatMap((name) => {
    const why = about(name);
    return why === undefined ? [] : [{ name, why }];
  });
}

/** What `reliability: 'celery'` puts back, unless it is given. */
const celeryWay: ReadonlyMap<SettingName, unknown> = new Map<SettingName, unknown>([
  ['taskAcksLate', false],
  ['taskRejectOnWorkerLost', false],
  ['taskDelayedDelivery', 'worker'],
]);

function withDefaults(given: ReadonlyMap<SettingName, unknown>, problems: string[]): Config {
  const isCelerysWay = given.get('reliability') === 'celery';
  const config = new Map<SettingName, unknown>();
  for (const name of settingNames) {
    const standard = isCelerysWay && celeryWay.has(name) ? celeryWay.get(name) : settingOf(name).default;
    config.set(name, given.has(name) ? given.get(name) : standard);
  }
  if (isCelerysWay) {
    config.set('brokerTransportOptions', { confirmPublish: false, ...Object(config.get('brokerTransportOptions')) });
  }
  checkHeartbeat(config, problems);
  for (const family of ['control', 'event'] as const) settleExclusive(family, given, config, problems);
  return Object.freeze(Object.fromEntries(config)) as Config;
}

/** Without heartbeats a dead connection is noticed by nobody: only whoever says so twice has none. */
function checkHeartbeat(config: ReadonlyMap<SettingName, unknown>, problems: string[]): void {
  const seconds = Number(config.get('brokerHeartbeat'));
  const isForced = Object(config.get('brokerTransportOptions')).allowNoHeartbeat === true;
  if (seconds >= 1 || (seconds === 0 && isForced)) return;
  const cure = 'brokerTransportOptions: { allowNoHeartbeat: true } lets 0 pass';
  problems.push(`'brokerHeartbeat' must be 1 or more, not ${seconds}; ${cure}`);
}

/** A queue cannot be exclusive and durable: durable alone switches the default off, both given are a problem. */
function settleExclusive(
  family: 'control' | 'event',
  given: ReadonlyMap<SettingName, unknown>,
  config: Map<SettingName, unknown>,
  problems: string[],
): void {
  const durable = `${family}QueueDurable` as const;
  const exclusive = `${family}QueueExclusive` as const;
  if (config.get(durable) !== true || config.get(exclusive) !== true) return;
  if (given.has(exclusive)) problems.push(`'${exclusive}' and '${durable}' cannot both be true`);
  else config.set(exclusive, false);
}

/** The configuration under Celery's names (`task_acks_late`), as `inspect conf` answers it. */
export function celeryNames(config: Partial<Config>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(config).map(([name, value]) => [snakeCase(name), value]));
}
