/**
 * Errors on the wire (celery-protocol.md section 10, API.md section 12): `{exc_type, exc_message, exc_module}` and a traceback text.
 * Whatever a task throws has a form here, and whatever comes from the wire becomes an Error: none of these functions throws.
 */
import { NonErrorThrown, RemoteTaskError } from '../core/errors.ts';
import type { Codec } from './codec.ts';
import { type ErrorFactory, knownErrors } from './known-errors.ts';
import { pythonRepr } from './python-repr.ts';
import { toWireTree, type WireForms } from './serialization/wire-tree.ts';

/** An error as it travels: the `result` of FAILURE, RETRY and REVOKED. */
export interface ExceptionMap {
  readonly exc_type: string;
  readonly exc_message: readonly unknown[];
  readonly exc_module: string;
}

/** The classes that a failure from the wire may become. Nothing else is ever looked up by name. */
export interface ErrorRegistry {
  /**
   * `make` is given `exc_message`; what it returns carries the module, type and message it was made of from then on.
   *
   * @example
   * errors.register('celery_ts.errors', 'PaymentRefused', ([reason]) => new PaymentRefused(String(reason)));
   */
  register(excModule: string, excType: string, make: ErrorFactory): void;
  find(excModule: string, excType: string): ErrorFactory | undefined;
}

/** A registry that knows Celery's errors and those that JavaScript and Python share, and takes more. */
export function createErrorRegistry(): ErrorRegistry {
  const registered = new Map<string, ErrorFactory>();
  return {
    register: (excModule, excType, make) => {
      registered.set(`${excModule}:${excType}`, make);
    },
    find: (excModule, excType) => {
      const key = `${excModule}:${excType}`;
      return registered.get(key) ?? knownErrors.get(key);
    },
  };
}

/** JavaScript's own errors that Python has by the same name. */
const sharedBuiltins: ReadonlySet<string> = new Set(['TypeError', 'SyntaxError', 'ReferenceError']);
const javascriptErrors: ReadonlySet<string> = new Set([
  ...sharedBuiltins,
  'Error',
  'RangeError',
  'EvalError',
  'URIError',
  'AggregateError',
]);

/** What a message may bring: an HTTP client, say, puts whole answers into its errors. */
const longestText = 64 * 1024;

/** What was thrown, as an Error: errors pass, those of another realm too, anything else is wrapped in a `NonErrorThrown`. */
export function toError(thrown: unknown): Error {
  try {
    if (thrown instanceof Error || Object.prototype.toString.call(thrown) === '[object Error]') return thrown as Error;
    return new NonErrorThrown(thrown);
  } catch {
    return new NonErrorThrown('something that cannot be looked at');
  }
}

/** The wire form of anything thrown. Parts of `exc_message` that have no wire form become their repr. Never throws. */
export function toExceptionMap(thrown: unknown, codec?: Codec): ExceptionMap {
  try {
    const error = toError(thrown);
    const type = typeOf(error);
    const parts = property(error, 'excMessage');
    return {
      exc_type: type,
      exc_message: (Array.isArray(parts) ? parts : [error.message]).map((part) => encodable(part, codec)),
      exc_module: moduleOf(error, type),
    };
  } catch {
    return { exc_type: 'Error', exc_message: ['An error that cannot be read.'], exc_module: 'celery_ts.errors' };
  }
}

/** The error that a map from the wire stands for; a `RemoteTaskError` when no class is known. Never throws. */
export function fromExceptionMap(map: unknown, traceback?: string, registry: ErrorRegistry = builtIn): Error {
  const { excType, excModule, excMessage } = readMap(map);
  const remoteTraceback = typeof traceback === 'string' ? traceback : undefined;
  const remote = (): Error => new RemoteTaskError({ excType, excModule, excMessage, remoteTraceback });
  const make = registry.find(excModule, excType);
  if (make === undefined) return remote();
  try {
    const error = make(excMessage);
    carry(error, { excType, excModule, excMessage });
    if (remoteTraceback !== undefined) define(error, 'remoteTraceback', remoteTraceback, true);
    return error;
  } catch {
    return remote();
  }
}

/** The text for `traceback`: cleaned stacks, causes first and the last error last, as Python prints them. At most 64 KiB. Never throws. */
export function tracebackText(thrown: unknown): string {
  const seen = new Set<unknown>();
  const texts: string[] = [];
  for (let each = thrown; each !== undefined && !seen.has(each) && seen.size < 10; each = property(each, 'cause')) {
    seen.add(each);
    texts.unshift(stackText(each, seen));
  }
  const text = texts.join('\nThe above exception was the direct cause of the following exception:\n\n');
  if (text.length <= longestText) return text;
  return `${text.slice(0, longestText / 2)}\n...\n${text.slice(-longestText / 2)}`;
}

/** `ValueError('bad value')`: the text for events and logs, at most 1024 characters. Never throws. */
export function exceptionRepr(thrown: unknown): string {
  const { exc_type, exc_message } = toExceptionMap(thrown);
  const parts = exc_message.map((part) => pythonRepr(part, 1000)).join(', ');
  const text = `${exc_type}(${parts})`;
  return text.length <= 1024 ? text : `${text.slice(0, 1020)}...)`;
}

/** The class's name where nobody set `name`: `class MyError extends Error {}` is called `Error` by JavaScript. */
function typeOf(error: Error): string {
  const given = property(error, 'excType');
  if (typeof given === 'string' && given !== '') return given.slice(0, 200);
  const name = property(error, 'name');
  const className = property(property(error, 'constructor'), 'name');
  const isInherited =
    typeof name !== 'string' || name === '' || (javascriptErrors.has(name) && !Object.hasOwn(error, 'name'));
  const text = isInherited && typeof className === 'string' && className !== '' ? className : name;
  return typeof text === 'string' && text !== '' ? text.slice(0, 200) : 'Error';
}

function moduleOf(error: Error, type: string): string {
  const given = property(error, 'excModule');
  if (typeof given === 'string' && given !== '') return given.slice(0, 200);
  return sharedBuiltins.has(type) ? 'builtins' : 'celery_ts.errors';
}

function encodable(part: unknown, codec: Codec | undefined): unknown {
  if (typeof part === 'string') return part.length <= longestText ? part : `${part.slice(0, longestText)}...`;
  if (typeof part === 'number' || typeof part === 'boolean' || part === null) return part;
  try {
    if (codec === undefined) toWireTree(part, anyForm, 32);
    else codec.serialize(part, 'json');
    return part;
  } catch {
    return pythonRepr(part);
  }
}

/** For asking whether there is a form at all. */
const anyForm: WireForms = { date: () => null, bytes: () => null, typed: () => null, float: () => null };

const builtIn: ErrorRegistry = {
  register: () => undefined,
  find: (module, type) => knownErrors.get(`${module}:${type}`),
};

function readMap(map: unknown): { excType: string; excModule: string; excMessage: readonly unknown[] } {
  const excType = property(map, 'exc_type');
  const excModule = property(map, 'exc_module');
  if (typeof excType !== 'string' || excType === '') {
    return { excType: 'Exception', excModule: 'builtins', excMessage: [map] };
  }
  return {
    excType: excType.slice(0, 200),
    excModule: typeof excModule === 'string' && excModule !== '' ? excModule.slice(0, 200) : 'builtins',
    excMessage: messageParts(property(map, 'exc_message')),
  };
}

function messageParts(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  return value === undefined || value === null ? [] : [value];
}

/** So that the error goes out again as it came, whatever its class makes of the message. */
function carry(error: Error, wire: Readonly<Record<string, unknown>>): void {
  for (const [key, value] of Object.entries(wire)) define(error, key, value, false);
}

function define(error: Error, key: string, value: unknown, isShown: boolean): void {
  Object.defineProperty(error, key, { value, enumerable: isShown, configurable: true, writable: true });
}

/** A property of anything; undefined where a getter throws. */
function property(value: unknown, key: string): unknown {
  try {
    return value === null || value === undefined ? undefined : (value as Record<string, unknown>)[key];
  } catch {
    return undefined;
  }
}

function stackText(thrown: unknown, seen: Set<unknown>): string {
  const error = toError(thrown);
  const stack = property(error, 'stack');
  const head = `${String(property(error, 'name'))}: ${String(property(error, 'message')).slice(0, longestText)}`;
  const remote = property(error, 'remoteTraceback');
  const text = typeof stack === 'string' && stack !== '' ? cleanStack(stack) : head;
  return `${typeof remote === 'string' ? `${remote.trimEnd()}\n\n` : ''}${text}\n${partsOf(error, seen)}`;
}

/** The errors inside an AggregateError, indented. */
function partsOf(error: Error, seen: Set<unknown>): string {
  const errors = property(error, 'errors');
  if (!Array.isArray(errors)) return '';
  return errors
    .slice(0, 10)
    .filter((each) => !seen.has(each) && seen.size < 30)
    .map((each) => {
      seen.add(each);
      return `  | ${stackText(each, seen).trimEnd().replaceAll('\n', '\n  | ')}\n`;
    })
    .join('');
}

/** Loaders that compile TypeScript give frames whose file is the whole module in base64; those say nothing to anybody. */
function cleanStack(stack: string): string {
  const lines = stack.slice(0, 4 * longestText).split('\n');
  const kept = lines.filter((line) => !/^\s+at .*data:text\/javascript/.test(line));
  return kept.join('\n').replaceAll(/data:(?:text|application)\/javascript[^\s)]*/g, '<module>');
}
