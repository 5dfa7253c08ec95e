/** Settings of the broker connections. AMQP only: other transports are refused by name. */
import {
  brokerAddresses,
  type TlsOptions,
  type TransportOptions,
  tlsOptions,
  transportOptionNames,
} from '../broker-address.ts';
import { choice, count, flag, keysBeside, optional, options, seconds, shaped, text, unfit } from '../setting.ts';

const onePlace = 'celery-ts keeps one connection for publishing and one for consuming.';

export const broker = {
  brokerUrl: shaped<string | readonly string[] | undefined>(
    'URL | URL[]',
    undefined,
    'Address of RabbitMQ, or several to try in turn (a list, or one text with semicolons). Unset: `amqp://guest:guest@localhost:5672//`.',
    brokerAddresses,
  ),
  brokerReadUrl: shaped<string | readonly string[] | undefined>(
    'URL | URL[]',
    undefined,
    'Addresses for consuming only. Unset: `brokerUrl`.',
    brokerAddresses,
  ),
  brokerWriteUrl: shaped<string | readonly string[] | undefined>(
    'URL | URL[]',
    undefined,
    'Addresses for publishing only. Unset: `brokerUrl`.',
    brokerAddresses,
  ),
  brokerTransport: choice(
    ['amqp', 'amqps'],
    undefined,
    'Scheme of an address that has none. Old form; write it in `brokerUrl`.',
    { aliases: { pyamqp: 'amqp', librabbitmq: 'amqp', 'amqp+ssl': 'amqps' } },
  ),
  brokerTransportOptions: options<TransportOptions>(
    {},
    'Options of the connections: `confirmPublish` and `mandatoryPublish` (both true unless switched off, which is logged), `allowNoHeartbeat` (false), `clientProperties`, and how long a caller tries to connect: `maxRetries` (2), `intervalStart` (0.1 s, doubling), `intervalMax` (30 s).',
    { idleParts: keysBeside(transportOptionNames, 'no option of the AMQP connections here.') },
  ),
  brokerConnectionTimeout: seconds(4, 'How long one attempt to connect may take, TLS included.', { min: 0.001 }),
  brokerConnectionRetry: flag(true, 'Connect again when a connection is lost.'),
  brokerConnectionRetryOnStartup: flag(
    undefined,
    'Try again when the first attempt fails. Unset: as `brokerConnectionRetry`.',
  ),
  brokerConnectionMaxRetries: optional(
    count(undefined, 'Attempts to connect before giving up. Unset: no limit.', { celeryDefault: 100 }),
  ),
  brokerChannelErrorRetry: flag(false, 'Celery: recover from errors of a channel too.', {
    noEffect: 'A channel that the broker closed is always rebuilt.',
  }),
  brokerFailoverStrategy: shaped<'round-robin' | 'shuffle' | FailoverStrategy | undefined>(
    "'round-robin' | 'shuffle' | function",
    undefined,
    'How the next of several addresses is picked; a function gets the list and returns an endless iterator. Unset: round-robin.',
    (value) =>
      value === 'round-robin' || value === 'shuffle' || isFailoverStrategy(value)
        ? value
        : unfit("'round-robin', 'shuffle' or a function", value),
  ),
  brokerHeartbeat: seconds(
    30,
    'Heartbeat asked for on every connection; the lower of both sides wins. 0 is refused, as dead connections would go unnoticed, unless `brokerTransportOptions` say `allowNoHeartbeat`.',
    { celeryDefault: 120 },
  ),
  brokerHeartbeatCheckrate: count(3, 'Celery: how many times in a heartbeat the peer is checked.', {
    noEffect: 'The connection checks its heartbeat by itself.',
    min: 1,
  }),
  brokerLoginMethod: choice(['PLAIN', 'AMQPLAIN', 'EXTERNAL'], undefined, 'SASL mechanism. Unset: PLAIN.'),
  brokerNativeDelayedDeliveryQueueType: choice(
    ['quorum', 'classic'],
    'quorum',
    "Type of the queues that hold delayed messages in Celery's own layout.",
  ),
  brokerPoolLimit: optional(count(10, 'Celery: connections in the pool.', { noEffect: onePlace })),
  brokerPoolAcquireTimeout: seconds(undefined, 'Celery: how long a sender waits for a connection of the pool.', {
    noEffect: onePlace,
  }),
  brokerUseSsl: shaped<boolean | TlsOptions>(
    'boolean | object',
    false,
    'TLS: true, or `ca`, `cert`, `key`, `passphrase`, `servername`, `rejectUnauthorized` (Python: `ca_certs`, `certfile`, `keyfile`, `cert_reqs`).',
    tlsOptions,
  ),
  brokerHost: text(undefined, 'Host of the broker. Old form; write it in `brokerUrl`.'),
  brokerPort: count(undefined, 'Port of the broker. Old form; write it in `brokerUrl`.', { min: 1, max: 65_535 }),
  brokerUser: text(undefined, 'User at the broker. Old form; write it in `brokerUrl`.'),
  brokerPassword: text(undefined, 'Password at the broker. Old form; write it in `brokerUrl`.', { secret: true }),
  brokerVhost: text(undefined, 'Virtual host of the broker. Old form; write it in `brokerUrl`.'),
} as const;

/** Picks addresses for ever, from those given. */
export type FailoverStrategy = (urls: readonly string[]) => Iterator<string>;

function isFailoverStrategy(value: unknown): value is FailoverStrategy {
  return typeof value === 'function';
}
