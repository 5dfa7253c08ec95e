/**
 * The messages between a pool and its children: compact arrays that survive JSON and structured clone, tag first.
 * Bodies travel as text, undecoded: as they are when they are ASCII or UTF-8, else as base64.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import type { Level } from 'pino';
import type { Envelope, MessageProperties, Publication } from '../../core/envelope.ts';
import type { EncodedResult, Job, Report } from '../../execution/index.ts';
import { protocolHeaders } from '../../message/index.ts';
import type { ChildModule, PoolKind } from './options.ts';

/** The first message to a child. */
export interface ChildSettings {
  readonly kind: PoolKind;
  readonly index: number;
  readonly module: ChildModule;
  /** KiB; a child measures itself after each task when this is set. */
  readonly maxMemory: number | undefined;
  readonly redirectsOutput: boolean;
  /** The log level of the main process: what it would drop is not sent. */
  readonly logLevel: string;
  /** File descriptors of the claims on jobs handed ahead and of the book of what is done, where jobs are handed ahead. */
  readonly files: { readonly claims: number; readonly logbook: number } | undefined;
}

export type AbortCause = 'soft' | 'terminated' | 'shutdown';

export type ToChild =
  | readonly ['open', ChildSettings]
  | readonly ['run', ...(readonly PackedJob[])]
  | readonly ['abort', seq: number, cause: AbortCause, detail: string]
  | readonly ['exit'];

export type Stream = 'stdout' | 'stderr';

export type FromChild = News | readonly ['many', ...(readonly News[])];

/** Everything but a batch. */
export type News =
  | readonly ['up']
  | readonly ['loaded']
  | readonly ['ready']
  | readonly ['failed', PackedError]
  | Done
  /** There is something in the logbook, and little left to do. */
  | readonly ['look']
  /** A job that was not started here. */
  | readonly ['back', seq: number]
  | readonly ['state', seq: number, PackedResult]
  | readonly ['event', seq: number, type: string, fields: Readonly<Record<string, unknown>>]
  /** The child wants to be replaced once its tasks have ended. */
  | readonly ['worn', reason: string]
  | readonly ['out', stream: Stream, task: string | null, id: string | null, line: string]
  /** A record of the child's own logger: a JSON document. */
  | readonly ['log', record: string];

/** A run has ended. */
export type Done = readonly ['done', seq: number, elapsedMs: number, ...PackedReport];

export interface PackedError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
}

/** How a body travels. */
const ascii = 0;
const utf8 = 1;
const base64 = 2;
type PackedBody = readonly [form: number, text: string];

/** The values of known names; names and `undefined` cost more than the values of most messages. */
type Values = readonly unknown[];
type Headers = Readonly<Record<string, unknown>>;
type PackedJob = readonly [
  seq: number,
  isAhead: 0 | 1,
  ...PackedBody,
  headers: Values | Headers,
  properties: Values,
  rest: Omit<Job, 'body' | 'headers' | 'properties'>,
];
type PackedPublication = readonly [
  ...PackedBody,
  envelope: Omit<Envelope, 'body'>,
  rest: Omit<Publication, 'envelope'>,
];
type PackedResult = readonly [...PackedBody, rest: Omit<EncodedResult, 'body'>];
type PackedReport = readonly [
  outcome: Report['outcome'],
  publications: readonly PackedPublication[],
  results: readonly PackedResult[],
];

export function packJob(seq: number, isAhead: boolean, job: Job): PackedJob {
  const { id, task, deliveryInfo, softTimeLimit, timeLimit, crashes } = job;
  const [form, text] = packBody(job.body);
  const rest = { id, task, deliveryInfo, softTimeLimit, timeLimit, crashes };
  return [seq, isAhead ? 1 : 0, form, text, packHeaders(job.headers), packProperties(job.properties), rest];
}

export function unpackJob([, , form, text, headers, properties, rest]: PackedJob): Job {
  const { id, task, deliveryInfo, softTimeLimit, timeLimit, crashes } = rest;
  return {
    id,
    task,
    headers: unpackHeaders(headers),
    properties: unpackProperties(properties),
    deliveryInfo,
    body: unpackBody(form, text),
    softTimeLimit,
    timeLimit,
    crashes,
  };
}

/** Those of every message go by their place; with others among them, all go as they are. */
function packHeaders(headers: Headers): Values | Headers {
  const hasUsual =
    Object.keys(headers).length === protocolHeaders.length && protocolHeaders.every((name) => name in headers);
  return hasUsual ? protocolHeaders.map((name) => headers[name]) : headers;
}

const noHeaders: Headers = Object.fromEntries(protocolHeaders.map((name) => [name, null]));

function unpackHeaders(packed: Values | Headers): Headers {
  if (!isValues(packed)) return packed;
  const headers: Record<string, unknown> = { ...noHeaders };
  for (const [at, name] of protocolHeaders.entries()) headers[name] = packed[at];
  return headers;
}

const isValues = (packed: Values | Headers): packed is Values => Array.isArray(packed);

function packProperties(properties: MessageProperties): Values {
  return propertyNames.map((name) => properties[name]);
}

function unpackProperties(values: Values): MessageProperties {
  const properties: Record<string, unknown> = {};
  for (const [at, name] of propertyNames.entries()) {
    const value = values[at];
    if (value !== null && value !== undefined) properties[name] = value;
  }
  return properties;
}

const propertyNames = [
  'contentType',
  'contentEncoding',
  'deliveryMode',
  'priority',
  'correlationId',
  'replyTo',
  'expiration',
  'messageId',
  'timestamp',
  'type',
  'userId',
  'appId',
] as const satisfies readonly (keyof MessageProperties)[];

export function packReport({ outcome, publications, results }: Report): PackedReport {
  return [outcome, publications.map(packPublication), results.map(packResult)];
}

export function unpackReport([outcome, publications, results]: PackedReport): Report {
  return { outcome, publications: publications.map(unpackPublication), results: results.map(unpackResult) };
}

export function packResult({ body, ...rest }: EncodedResult): PackedResult {
  return [...packBody(body), rest];
}

export function unpackResult([form, text, rest]: PackedResult): EncodedResult {
  return { ...rest, body: unpackBody(form, text) };
}

function packPublication({ envelope, ...rest }: Publication): PackedPublication {
  const { body, ...others } = envelope;
  return [...packBody(body), others, rest];
}

function unpackPublication([form, text, others, rest]: PackedPublication): Publication {
  return { ...rest, envelope: { ...others, body: unpackBody(form, text) } };
}

function packBody(body: Uint8Array): PackedBody {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (isAscii(bytes)) return [ascii, bytes.toString('latin1')];
  if (isUtf8(bytes)) return [utf8, bytes.toString('utf8')];
  return [base64, bytes.toString('base64')];
}

function unpackBody(form: number, text: string): Uint8Array {
  return Buffer.from(text, form === ascii ? 'latin1' : form === utf8 ? 'utf8' : 'base64');
}

export function packError(error: unknown): PackedError {
  if (error instanceof Error) return { name: error.name, message: error.message, stack: error.stack };
  return { name: 'Error', message: String(error), stack: undefined };
}

export function unpackError({ name, message, stack }: PackedError): Error {
  const error = new Error(message);
  error.name = name;
  if (stack !== undefined) error.stack = stack;
  return error;
}

/** The same message without what a pipe refuses: integers beyond 2^53 become numbers or text, functions vanish. */
export function sendable<T>(message: T): T {
  return JSON.parse(
    JSON.stringify(message, (_key, value: unknown) => {
      if (typeof value !== 'bigint') return value;
      const asNumber = Number(value);
      return Number.isSafeInteger(asNumber) ? asNumber : value.toString();
    }),
  );
}

/** Whether what came through the pipe has the outer form of a message; user code can write there too. */
export function isFromChild(message: unknown): message is FromChild {
  return Array.isArray(message) && typeof message[0] === 'string';
}

export function isDone(entry: unknown): entry is Done {
  return Array.isArray(entry) && entry[0] === 'done' && typeof entry[1] === 'number';
}

/** Jobs a child may have at hand, the one it runs included. */
export const longestWindow = 32;

export function levelOf(name: string | undefined): Level {
  const known: Readonly<Record<string, Level>> = {
    trace: 'trace',
    debug: 'debug',
    info: 'info',
    warn: 'warn',
    warning: 'warn',
    error: 'error',
    fatal: 'fatal',
    critical: 'fatal',
  };
  return known[name?.toLowerCase() ?? ''] ?? 'warn';
}
