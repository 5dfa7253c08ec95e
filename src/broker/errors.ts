/**
 * What a broker refuses, in RabbitMQ's codes and words. A soft error closes the channel it happened on, a hard one the
 * connection. The text begins with the code's name, as clients and people expect: `NOT_FOUND - no queue 'q' in vhost '/'`.
 */

/** Each code of AMQP 0-9-1 with its name and what it closes. */
const codes = {
  NO_ROUTE: { code: 312, closes: 'channel' },
  CONNECTION_FORCED: { code: 320, closes: 'connection' },
  ACCESS_REFUSED: { code: 403, closes: 'channel' },
  NOT_FOUND: { code: 404, closes: 'channel' },
  RESOURCE_LOCKED: { code: 405, closes: 'channel' },
  PRECONDITION_FAILED: { code: 406, closes: 'channel' },
  FRAME_ERROR: { code: 501, closes: 'connection' },
  SYNTAX_ERROR: { code: 502, closes: 'connection' },
  COMMAND_INVALID: { code: 503, closes: 'connection' },
  CHANNEL_ERROR: { code: 504, closes: 'connection' },
  UNEXPECTED_FRAME: { code: 505, closes: 'connection' },
  NOT_ALLOWED: { code: 530, closes: 'connection' },
  NOT_IMPLEMENTED: { code: 540, closes: 'connection' },
  INTERNAL_ERROR: { code: 541, closes: 'connection' },
} as const satisfies Readonly<Record<string, { code: number; closes: 'channel' | 'connection' }>>;

export type AmqpErrorName = keyof typeof codes;

/** Thrown while a method is handled; answered with `channel.close` or `connection.close`. */
export class AmqpError extends Error {
  static override readonly name = 'AmqpError';
  readonly code: number;
  readonly closes: 'channel' | 'connection';

  constructor(name: AmqpErrorName, text: string, closes: 'channel' | 'connection' = codes[name].closes) {
    super(text === '' ? name : `${name} - ${text}`);
    this.code = codes[name].code;
    this.closes = closes;
  }
}

export function noSuch(kind: 'queue' | 'exchange', name: string, vhost: string): AmqpError {
  return new AmqpError('NOT_FOUND', `no ${kind} '${name}' in vhost '${vhost}'`);
}

export function inUse(kind: 'queue' | 'exchange', name: string, vhost: string): AmqpError {
  return new AmqpError('PRECONDITION_FAILED', `${kind} '${name}' in vhost '${vhost}' in use`);
}

export function locked(queue: string, vhost: string): AmqpError {
  return new AmqpError(
    'RESOURCE_LOCKED',
    `cannot obtain exclusive access to locked queue '${queue}' in vhost '${vhost}'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.`,
  );
}

export function reservedName(kind: 'queue' | 'exchange', name: string): AmqpError {
  return new AmqpError('ACCESS_REFUSED', `${kind} name '${name}' contains reserved prefix 'amq.*'`);
}

export const onDefaultExchange = 'operation not permitted on the default exchange';
