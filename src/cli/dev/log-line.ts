/**
 * The merged log of `celery-ts dev`, for people: records become one line each, with their time, who speaks, and fields
 * in a short form; tracebacks stand below. What is no record is shown as it is.
 */
import { inspect } from 'node:util';
import { printable, printableLine, type Style } from '../style.ts';

export type Speaker = 'dev' | 'broker' | 'worker' | 'beat';

/** Formats one line of a program's output. Undefined: nothing worth showing. */
export function showLine(
  line: string,
  speaker: Speaker,
  clock: string,
  style: Style,
  withDetails: boolean,
): string | undefined {
  const record = recordIn(line);
  if (record === undefined) return `${style.dim(clock)} ${label(speaker, style)} ${plain(line, style)}`;
  const { level, time, name, msg, err, traceback, ...fields } = record;
  const isInner = typeof name === 'string' && name.startsWith('celery.amqp');
  if (isInner && Number(level) <= info && !withDetails) return undefined;
  const said = typeof name === 'string' && name.startsWith('celery.beat') ? 'beat' : speaker;
  const head = `${style.dim(clockOf(time) ?? clock)} ${label(said, style)}`;
  if (fields.stream === 'stdout' || fields.stream === 'stderr') {
    return `${head} ${style.dim(`${String(fields.task ?? 'child')} |`)} ${printable(String(msg))}`;
  }
  const below = [traceback, stackOf(err)].filter((text) => typeof text === 'string');
  const words = [`${levelWord(Number(level), style)}${printable(String(msg ?? ''))}`, ...shown(fields, style)];
  return [`${head} ${words.join(' ')}`, ...below.map((text) => indented(String(text)))].join('\n');
}

/** What the worker says for people, without its own name. */
function plain(line: string, style: Style): string {
  const text = printable(line).replace(/^worker: /, '');
  return text.startsWith('Error: ') ? style.bad(text) : text;
}

/** The time of day as people here read it. */
export function clockTime(at: number): string {
  const date = new Date(at);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

const info = 30;

function recordIn(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{"level":')) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function clockOf(time: unknown): string | undefined {
  const at = typeof time === 'string' ? Date.parse(time) : Number.NaN;
  return Number.isNaN(at) ? undefined : clockTime(at);
}

function label(speaker: Speaker, style: Style): string {
  return style.name(speaker.padEnd(6));
}

function levelWord(level: number, style: Style): string {
  if (level >= 50) return `${style.bad('ERROR')} `;
  if (level >= 40) return `${style.bold('WARNING')} `;
  return level < info ? `${style.dim('debug')} ` : '';
}

function shown(fields: Record<string, unknown>, style: Style): string[] {
  return Object.entries(fields)
    .filter(([name]) => name !== 'pid' && name !== 'hostname')
    .map(([name, value]) => style.dim(`${name}=${printableLine(valueText(value))}`));
}

function valueText(value: unknown): string {
  if (typeof value === 'number' && !Number.isInteger(value)) return String(Number(value.toPrecision(3)));
  return typeof value === 'string' ? value : inspect(value, { breakLength: Number.POSITIVE_INFINITY, depth: 4 });
}

function stackOf(err: unknown): unknown {
  return typeof err === 'object' && err !== null && 'stack' in err ? err.stack : undefined;
}

function indented(text: string): string {
  return printable(text.trimEnd())
    .split('\n')
    .map((line) => `         ${line}`)
    .join('\n');
}
