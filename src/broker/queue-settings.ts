/**
 * What a queue is declared with: each argument with the queue types it is for and what its value may be, the settings
 * read from it, and whether a second declaration asks for the same queue. Texts are RabbitMQ's.
 */
import { AmqpError } from './errors.ts';
import { type Field, field, integerOf, sameValue, type Table, textOf, typeNames } from './wire/field-table.ts';

export type QueueType = 'classic' | 'quorum';

export interface QueueSettings {
  readonly type: QueueType;
  readonly messageTtlMs: number | undefined;
  readonly expiresMs: number | undefined;
  readonly maxLength: number;
  readonly maxBytes: number;
  readonly overflow: 'drop-head' | 'reject-publish' | 'reject-publish-dlx';
  readonly deadLetterExchange: string | undefined;
  readonly deadLetterRoutingKey: string | undefined;
  readonly maxPriority: number;
  readonly isSingleActive: boolean;
  /** Times a message of a quorum queue may come back before it is dropped or dead-lettered. */
  readonly deliveryLimit: number;
}

interface Argument {
  readonly of: readonly (QueueType | 'stream')[];
  /** What is wrong with the value, if anything. */
  readonly check: (value: Field) => string | undefined;
}

/** RabbitMQ's longest timer: ten years, in ms. */
export const longestTtlMs = 315_360_000_000;

const every = ['classic', 'quorum', 'stream'] as const;
const both = ['classic', 'quorum'] as const;

const queueArguments: Readonly<Record<string, Argument>> = {
  'x-message-ttl': { of: both, check: integer({ most: longestTtlMs }) },
  'x-expires': { of: both, check: integer({ most: longestTtlMs, isZeroRefused: true }) },
  'x-max-length': { of: both, check: integer({}) },
  'x-max-length-bytes': { of: every, check: integer({}) },
  'x-max-in-memory-length': { of: ['quorum'], check: integer({}) },
  'x-max-in-memory-bytes': { of: ['quorum'], check: integer({}) },
  'x-max-priority': { of: ['classic'], check: integer({ most: 255, mostText: 'max_value_exceeded' }) },
  'x-delivery-limit': { of: ['quorum'], check: () => undefined },
  'x-overflow': {
    of: both,
    check: oneOf(['drop-head', 'reject-publish', 'reject-publish-dlx'], () => 'invalid_overflow'),
  },
  'x-dead-letter-exchange': { of: both, check: () => undefined },
  'x-dead-letter-routing-key': { of: both, check: routingKey },
  'x-dead-letter-strategy': {
    of: ['quorum'],
    check: oneOf(['at-most-once', 'at-least-once'], () => 'invalid_strategy'),
  },
  'x-single-active-consumer': { of: both, check: boolean },
  'x-queue-mode': {
    of: ['classic'],
    check: oneOf(['default', 'lazy'], (mode) => `"unsupported queue mode '${mode}'"`),
  },
  'x-queue-version': { of: ['classic'], check: version },
  'x-queue-master-locator': { of: ['classic'], check: () => undefined },
  'x-queue-leader-locator': { of: ['quorum', 'stream'], check: () => undefined },
  'x-quorum-initial-group-size': { of: ['quorum'], check: integer({}) },
  'x-max-age': { of: ['stream'], check: () => undefined },
  'x-stream-max-segment-size-bytes': { of: ['stream'], check: () => undefined },
  'x-queue-type': { of: every, check: oneOf(every, (type) => `"unsupported queue type '${type}'"`) },
};

function integer(limits: { most?: number; mostText?: string; isZeroRefused?: boolean }): Argument['check'] {
  const { most = Number.POSITIVE_INFINITY, mostText = 'value_too_large', isZeroRefused = false } = limits;
  return (value) => {
    const given = integerOf(value);
    if (given === undefined) return `"expected integer, got ${typeNames[value.type]}"`;
    if (given < 0) return `{value_negative,${given}}`;
    if (given === 0 && isZeroRefused) return '{value_zero,0}';
    return given > most ? `{${mostText},${given}}` : undefined;
  };
}

function oneOf(allowed: readonly string[], otherwise: (given: string) => string): Argument['check'] {
  return (value) => {
    const given = textOf(value);
    if (given === undefined) return `{unacceptable_type,${typeNames[value.type]}}`;
    return allowed.includes(given) ? undefined : otherwise(given);
  };
}

function boolean(value: Field): string | undefined {
  return value.type === 't' ? undefined : `{unacceptable_type,${typeNames[value.type]}}`;
}

function routingKey(value: Field): string | undefined {
  return value.type === 'S' && value.value.length > 255 ? '"longer than 255 bytes"' : undefined;
}

function version(value: Field): string | undefined {
  const given = integerOf(value);
  if (given === undefined) return `{unacceptable_type,${typeNames[value.type]}}`;
  return given === 1 || given === 2 ? undefined : `"unsupported queue version '${given}'"`;
}

/** A declaration, as far as its arguments allow or forbid it. */
export interface Declared {
  readonly name: string;
  readonly isDurable: boolean;
  readonly isAutoDelete: boolean;
  readonly owner: object | undefined;
  readonly arguments: Table;
}

/** Checks a new queue. @throws {AmqpError} */
export function checkQueue(declared: Declared, vhost: string): void {
  const where = `queue '${declared.name}' in vhost '${vhost}'`;
  const invalid = (text: string): AmqpError => new AmqpError('PRECONDITION_FAILED', text);
  const type = declaredType(declared.arguments);
  const typeFault = queueArguments['x-queue-type']?.check(declared.arguments.get('x-queue-type') ?? field.text(type));
  if (typeFault !== undefined) throw invalid(`invalid arg 'x-queue-type' for ${where}: ${typeFault}`);
  for (const [name, value] of declared.arguments) {
    const argument = queueArguments[name];
    if (argument === undefined) continue;
    if (!argument.of.some((known) => known === type)) {
      throw invalid(`invalid arg '${name}' for ${where} of queue type rabbit_${type}_queue`);
    }
    if (name.startsWith('x-dead-letter-') && name !== 'x-dead-letter-strategy' && value.type !== 'S') {
      throw invalid(`invalid type '${typeNames[value.type]}' for arg '${name}' in ${where}`);
    }
    const fault = argument.check(value);
    if (fault !== undefined) throw invalid(`invalid arg '${name}' for ${where}: ${fault}`);
  }
  if (declared.arguments.has('x-dead-letter-routing-key') && !declared.arguments.has('x-dead-letter-exchange')) {
    throw invalid(`invalid arg 'x-dead-letter-routing-key' for ${where}: routing_key_but_no_dlx_defined`);
  }
  if (type === 'stream') {
    throw invalid(`${where} cannot be a stream: the embedded broker of celery-ts has no streams, RabbitMQ has`);
  }
  if (type === 'quorum') {
    if (!declared.isDurable) throw invalid(`invalid property 'non-durable' for ${where}`);
    if (declared.isAutoDelete) throw invalid(`invalid property 'auto-delete' for ${where}`);
    if (declared.owner !== undefined) throw invalid(`invalid property 'exclusive-owner' for ${where}`);
  }
}

function declaredType(given: Table): string {
  return textOf(given.get('x-queue-type')) ?? 'classic';
}

/**
 * Compares what there is with what is asked for, argument by argument; unknown ones are nobody's business.
 * @throws {AmqpError} naming the first that differs, with both values
 */
export function assertSameQueueArguments(where: string, current: Table, wanted: Table): void {
  const type = declaredType(current);
  for (const [name, { of }] of Object.entries(queueArguments)) {
    if (!of.some((known) => known === type)) continue;
    if (name === 'x-queue-type' && declaredType(wanted) === type) continue;
    assertSameArgument(where, name, current.get(name), wanted.get(name));
  }
}

export function assertSameArgument(where: string, name: string, current: Field | undefined, wanted: Field | undefined) {
  if (current === undefined && wanted === undefined) return;
  const isBoth = current !== undefined && wanted !== undefined;
  if (isBoth && typeClass(current) === typeClass(wanted) && sameValue(current, wanted)) return;
  const text = isBoth ? quoted : withType;
  throw new AmqpError(
    'PRECONDITION_FAILED',
    `inequivalent arg '${name}' for ${where}: received ${text(wanted)} but current is ${text(current)}`,
  );
}

function typeClass(value: Field): string {
  if (integerOf(value) !== undefined || value.type === 'T') return 'integer';
  return value.type === 'f' || value.type === 'd' ? 'float' : value.type;
}

function withType(value: Field | undefined): string {
  if (value === undefined || value.type === 'V') return 'none';
  return `the value '${shown(value)}' of type '${typeNames[value.type]}'`;
}

function quoted(value: Field | undefined): string {
  return value === undefined || value.type === 'V' ? 'none' : `'${shown(value)}'`;
}

function shown(value: Field | undefined): string {
  if (value === undefined || value.type === 'V') return 'none';
  if (value.type === 'A') return `[${value.value.map(shown).join(',')}]`;
  if (value.type === 'F') return `[${[...value.value].map(([key, item]) => `${key}=${shown(item)}`).join(',')}]`;
  const isWholeFloat = (value.type === 'f' || value.type === 'd') && Number.isInteger(value.value);
  return isWholeFloat ? `${value.value}.0` : String(value.value);
}

export function readQueueSettings(given: Table): QueueSettings {
  const overflow = textOf(given.get('x-overflow'));
  const single = given.get('x-single-active-consumer');
  const limit = integerOf(given.get('x-delivery-limit')) ?? -1;
  return {
    type: declaredType(given) === 'quorum' ? 'quorum' : 'classic',
    messageTtlMs: integerOf(given.get('x-message-ttl')),
    expiresMs: integerOf(given.get('x-expires')),
    maxLength: integerOf(given.get('x-max-length')) ?? Number.POSITIVE_INFINITY,
    maxBytes: integerOf(given.get('x-max-length-bytes')) ?? Number.POSITIVE_INFINITY,
    overflow: overflow === 'reject-publish' || overflow === 'reject-publish-dlx' ? overflow : 'drop-head',
    deadLetterExchange: textOf(given.get('x-dead-letter-exchange')),
    deadLetterRoutingKey: textOf(given.get('x-dead-letter-routing-key')),
    maxPriority: integerOf(given.get('x-max-priority')) ?? 0,
    isSingleActive: single?.type === 't' && single.value,
    deliveryLimit: limit < 0 ? Number.POSITIVE_INFINITY : limit,
  };
}
