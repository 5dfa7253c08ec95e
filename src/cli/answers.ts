/**
 * Answers of workers as text, in the form of Celery's own tools: `->  worker1@host: OK` and the answer below it.
 * Lists of maps show as Python writes them, which is what scripts around `celery inspect` expect; `--json` has the data.
 */
import { isRefusal } from '../control/index.ts';
import { pythonRepr } from '../message/index.ts';
import { printable, printableLine, type Style } from './style.ts';

/** Far beyond what a terminal holds; what is longer ends with dots. */
const longestItem = 100_000;
const deepestItem = 50;

/** `->  worker1@host: OK`. */
export function headline(node: string, value: unknown, style: Style, isQuiet: boolean): string {
  const verdict = isRefusal(value) ? style.bad('ERROR') : style.good('OK');
  return `${isQuiet ? '' : `${style.bold('->')} `} ${style.name(`${printableLine(node)}: `)}${verdict}`;
}

/** The lines below it, indented. */
export function answerLines(value: unknown): string[] {
  return printable(answerText(value))
    .split('\n')
    .map((line) => (line === '' ? '' : `    ${line}`));
}

function answerText(value: unknown): string {
  if (Array.isArray(value))
    return value.length === 0 ? '- empty -' : value.map((item) => `* ${itemText(item)}`).join('\n');
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null) return repr(value);
  const told = 'ok' in value ? value.ok : 'error' in value ? value.error : undefined;
  if (told !== undefined) return indented(answerText(told));
  return JSON.stringify(sorted(value), bigintAsText, 4);
}

function itemText(item: unknown): string {
  return typeof item === 'string' ? item : repr(item);
}

function repr(value: unknown): string {
  return pythonRepr(value, longestItem, deepestItem);
}

function indented(text: string): string {
  return text
    .split('\n')
    .map((line) => `    ${line}`)
    .join('\n');
}

/** Maps with their keys in order, as Celery prints them. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null || isExotic(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  );
}

/** Dates and the like: they know their own JSON form. */
function isExotic(value: object): boolean {
  return 'toJSON' in value && typeof value.toJSON === 'function';
}

/** JSON has no integers beyond 2^53 that JavaScript could write; their digits are kept. */
export function bigintAsText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

/** `1 node online.` */
export function nodeCount(count: number): string {
  return `${count} ${count === 1 ? 'node' : 'nodes'} online.`;
}
