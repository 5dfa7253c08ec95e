/**
 * What Celery offers, as keys: one for each row of every table in `test/spec`. A key is made of the row's own words, so
 * that it stays the same when rows are added: `config:task_acks_late`, `cli:worker --autoscale`, `signal:task_prerun`.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The repository. */
export const root = join(import.meta.dirname, '..', '..');

type Row = Readonly<Record<string, unknown>>;

/** For each file of `test/spec` how its tables become keys. The order is that of `docs/parity.md`. */
const tables: Readonly<Record<string, (spec: Row) => string[]>> = {
  config: (spec) => rows(spec, 'settings').map((row) => `config:${text(row, 'name')}`),
  cli: (spec) => [
    ...rows(spec, 'commands').flatMap(commandKeys),
    ...rows(record(spec.multi), 'commands').map((row) => `cli:multi ${text(row, 'name')}`),
    ...words(record(spec.multi).own_flags).map((flag) => `cli:multi ${flag}`),
    ...Object.keys(record(record(spec.multi).own_options)).map((flag) => `cli:multi ${flag}`),
    ...Object.keys(record(spec.exit_codes)).map((code) => `cli:exit code ${code}`),
    ...words(spec.behaviours)
      .filter((rule) => !rule.startsWith('seeds ')) // remarks on old pages, not behaviour
      .map((rule) => `cli-rule:${slug(rule)}`),
  ],
  'task-options': (spec) => rows(spec, 'tasks').map((row) => `task:${text(row, 'kind')} ${bare(text(row, 'name'))}`),
  signals: (spec) => rows(spec, 'signals').map((row) => `signal:${text(row, 'name')}`),
  routing: (spec) => rows(spec, 'rules').map((row) => `routing:${text(row, 'name')}`),
  'result-api': (spec) => [
    ...rows(spec, 'members').map((row) => `result:${text(row, 'class')}.${text(row, 'member')}`),
    ...rows(spec, 'states').map((row) => `state:${text(row, 'name')}`),
    ...words(spec.rules).map((rule) => `result-rule:${slug(rule)}`),
  ],
  exceptions: (spec) => rows(spec, 'exceptions').map((row) => `exception:${text(row, 'name')}`),
  'worker-behaviour': (spec) => [
    ...rows(spec, 'behaviours').map((row) => `behaviour:${text(row, 'area')}: ${slug(text(row, 'rule'))}`),
    ...rows(spec, 'acks_matrix').map(acksKey),
  ],
  control: (spec) => rows(spec, 'commands').map((row) => `control:${text(row, 'type')} ${text(row, 'name')}`),
  events: (spec) => rows(spec, 'events').map((row) => `event:${text(row, 'type')}`),
  beat: (spec) => [
    ...rows(spec, 'items').map((row) => `beat:${text(row, 'name')}`),
    ...rows(spec, 'solar_events').map((row) => `solar:${text(row, 'event')}`),
  ],
  canvas: (spec) => [
    ...rows(spec, 'primitives').map((row) => `canvas:${text(row, 'kind')} ${text(row, 'name')}`),
    ...words(spec.upgrade_rules).map((rule) => `canvas-upgrade:${rule.split(' -> ')[0] ?? rule}`),
  ],
  bootsteps: (spec) => [
    ...rows(spec, 'steps').map((row) => `bootstep:${text(row, 'blueprint')} ${text(row, 'name')}`),
    ...rows(spec, 'extension_points').map((row) => `extension:${text(row, 'name')}`),
  ],
  backends: (spec) => rows(spec, 'backends').map((row) => `backend:${text(row, 'name')}`),
  transports: (spec) => [
    ...rows(spec, 'transports').map((row) => `transport:${text(row, 'name')}`),
    ...namesOf(spec.serializers).map((name) => `serializer:${name}`),
    ...namesOf(spec.compression).map((name) => `compression:${name}`),
  ],
  flower: (spec) => [
    ...rows(spec, 'options').map((row) => `monitor:${text(row, 'flag')}`),
    ...rows(spec, 'endpoints').map((row) => `monitor:${text(row, 'method')} ${text(row, 'path')}`),
    ...rows(spec, 'pages').map((row) => `monitor:page ${text(row, 'path')}`),
    ...rows(spec, 'metrics').map((row) => `monitor:metric ${text(row, 'name')}`),
  ],
};

/** The names of the tables, in order. */
export const tableNames: readonly string[] = Object.keys(tables);

/** The keys of one table, in the table's order, each once. */
export function keysOf(table: string): readonly string[] {
  const make = tables[table];
  if (make === undefined) throw new Error(`There is no table '${table}'; known: ${tableNames.join(', ')}.`);
  const spec: unknown = JSON.parse(readFileSync(join(root, 'test', 'spec', `${table}.json`), 'utf8'));
  return distinct(make(record(spec)));
}

/** Two rows may share their words (two `-d` of one command): the second is `… (2)`. */
function distinct(keys: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return keys.map((key) => {
    const times = (seen.get(key) ?? 0) + 1;
    seen.set(key, times);
    return times === 1 ? key : `${key} (${times})`;
  });
}

function commandKeys(row: Row): string[] {
  const full = text(row, 'command');
  const command = full === 'celery' ? 'celery' : full.replace(/^celery /, '');
  const options = rows(row, 'options').map((option) => {
    const flags = words(option.flags);
    return `cli:${command} ${flags.find((flag) => flag.startsWith('--')) ?? flags[0]}`;
  });
  return [`cli:${command}`, ...options];
}

/** A row of the matrix has no name: when it is acked, what happened, under which settings. */
function acksKey(row: Row): string {
  const late = row.acks_late;
  const ack = late === true ? 'late' : late === false ? 'early' : 'any';
  const settings = Object.entries(record(row.settings)).map(([name, value]) => `${name}=${value}`);
  return `acks:${[ack, text(row, 'outcome'), ...settings].join(', ')}`;
}

/** `request.id` under the kind `request` is `request id`. */
function bare(name: string): string {
  return name.replace(/^request\./, '');
}

/** The first ten words: enough to tell rules apart, short enough to read. */
function slug(sentence: string): string {
  return sentence
    .toLowerCase()
    .replaceAll(/[^a-z0-9_.*-]+/g, ' ')
    .trim()
    .split(' ')
    .slice(0, 10)
    .join('-')
    .replace(/[.-]+$/, '');
}

function rows(spec: Row, name: string): Row[] {
  const list = spec[name];
  if (!Array.isArray(list)) throw new Error(`'${name}' is no table.`);
  return list.map(record);
}

function words(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** The keys of a map of names; `note` is a remark, not a row. */
function namesOf(value: unknown): string[] {
  return Object.keys(record(value)).filter((name) => name !== 'note');
}

function text(row: Row, name: string): string {
  const value = row[name];
  if (typeof value !== 'string') throw new Error(`A row has no '${name}': ${JSON.stringify(row).slice(0, 200)}`);
  return value;
}

function record(value: unknown): Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}
