/**
 * Broker addresses and TLS options as users write them. AMQP is the only transport: another scheme is refused by name.
 * `brokerUrls` gives the list that a connection tries, put together from the URL settings or the old split ones.
 */
import { readFileSync } from 'node:fs';
import { type TlsOptions as BrokerTls, parseBrokerUrls } from '../../amqp/index.ts';
import { ImproperlyConfigured } from '../../core/errors.ts';
import { redactText } from '../../core/redact.ts';
import { camelCase, isRecord, unfit } from './setting.ts';

/** `brokerTransportOptions`. */
export interface TransportOptions {
  /** Wait for the broker's confirm of every task. Default true. */
  readonly confirmPublish?: boolean | undefined;
  /** Refuse a task that no queue takes (`UnroutableError`); never without confirms. Default true. */
  readonly mandatoryPublish?: boolean | undefined;
  /** True lets `brokerHeartbeat: 0` and `?heartbeat=0` pass: a silent broker then goes unnoticed. Default false. */
  readonly allowNoHeartbeat?: boolean | undefined;
  /** How often a caller (not a worker) tries again to connect before it hears of the failure. Default 2. */
  readonly maxRetries?: number | undefined;
  /** Seconds before the second attempt, doubled for each further one. Default 0.1. */
  readonly intervalStart?: number | undefined;
  /** The longest of these pauses, in seconds. Default 30. */
  readonly intervalMax?: number | undefined;
  /** More of what the broker's management shows about a connection. */
  readonly clientProperties?: Readonly<Record<string, unknown>> | undefined;
  readonly [more: string]: unknown;
}

/** `brokerUseSsl`: names of `node:tls`. Texts are PEM or paths of PEM files. */
export interface TlsOptions {
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  readonly cert?: string | Uint8Array | undefined;
  readonly key?: string | Uint8Array | undefined;
  readonly passphrase?: string | undefined;
  /** The name the broker's certificate must carry. Default: the host of the address. */
  readonly servername?: string | undefined;
  /** Default `TLSv1.2`. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined;
  /** False believes any certificate: for experiments only. Python: `cert_reqs: 'CERT_NONE'`. */
  readonly rejectUnauthorized?: boolean | undefined;
}

/** The options of them that do something here; the others are of other transports, or kombu's. */
export const transportOptionNames = [
  'confirmPublish',
  'mandatoryPublish',
  'allowNoHeartbeat',
  'maxRetries',
  'intervalStart',
  'intervalMax',
  'clientProperties',
];

const defaultUrl = 'amqp://guest:guest@localhost:5672//';
const schemes = new Set(['amqp', 'amqps', 'pyamqp', 'librabbitmq', 'amqp+ssl', 'pyamqp+ssl']);

/** Checks addresses: one text (semicolons part several) or a list. */
export function brokerAddresses(value: unknown): string | readonly string[] {
  const given: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (given.length === 0) return unfit('at least one address', value);
  for (const item of given) {
    if (typeof item !== 'string' || item.trim() === '') return unfit('an address, or a list of them', item);
    for (const url of parts(item)) checkUrl(url);
  }
  return Array.isArray(value) ? value : String(value);
}

function checkUrl(url: string): void {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1]?.toLowerCase();
  if (scheme !== undefined && !schemes.has(scheme)) {
    throw new ImproperlyConfigured(
      `must be an AMQP address (amqp://, amqps://, pyamqp:// or librabbitmq://), not '${redactText(url)}': ` +
        `celery-ts has no '${scheme}' transport${scheme === 'memory' ? '; for tests use startBroker() of celery-ts/testing' : ''}`,
    );
  }
  try {
    parseBrokerUrls(withScheme(url, 'amqp'));
  } catch (error) {
    if (!(error instanceof ImproperlyConfigured)) throw error;
    throw new ImproperlyConfigured(`cannot be read: ${error.message}`);
  }
}

/** What the list of addresses is made of. */
export interface BrokerSettings {
  readonly brokerUrl: string | readonly string[] | undefined;
  readonly brokerReadUrl: string | readonly string[] | undefined;
  readonly brokerWriteUrl: string | readonly string[] | undefined;
  readonly brokerTransport: string | undefined;
  readonly brokerHost: string | undefined;
  readonly brokerPort: number | undefined;
  readonly brokerUser: string | undefined;
  readonly brokerPassword: string | undefined;
  readonly brokerVhost: string | undefined;
}

/** The addresses a connection tries, in order; never empty. Every one is `amqp://` or `amqps://`. */
export function brokerUrls(config: BrokerSettings, direction: 'read' | 'write'): readonly string[] {
  const own = direction === 'read' ? config.brokerReadUrl : config.brokerWriteUrl;
  const given = own ?? config.brokerUrl;
  const scheme = config.brokerTransport ?? 'amqp';
  const urls = given === undefined ? [splitUrl(config, scheme)] : [given].flat().flatMap(parts);
  return urls.map((url) => withScheme(url, scheme));
}

function parts(urls: string): string[] {
  return urls
    .split(';')
    .map((url) => url.trim())
    .filter((url) => url !== '');
}

function withScheme(url: string, scheme: string): string {
  const found = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url);
  if (found === null) return `${scheme}://${url}`;
  const name = found[1]?.toLowerCase() ?? scheme;
  const known = name === 'amqps' || name.endsWith('+ssl') ? 'amqps' : 'amqp';
  return `${known}://${url.slice(found[0].length)}`;
}

/** `brokerHost` and its like, from before URLs. */
function splitUrl(config: BrokerSettings, scheme: string): string {
  const { brokerHost: host, brokerPort, brokerUser, brokerPassword, brokerVhost } = config;
  if ([host, brokerPort, brokerUser, brokerPassword, brokerVhost].every((part) => part === undefined)) {
    return config.brokerTransport === undefined ? defaultUrl : defaultUrl.replace('amqp', scheme);
  }
  if (host?.includes('://')) return host;
  const user = encodeURIComponent(brokerUser ?? 'guest');
  const password = encodeURIComponent(brokerPassword ?? 'guest');
  const port = brokerPort ?? (scheme === 'amqps' ? 5671 : 5672);
  const vhost = encodeURIComponent(brokerVhost ?? '/');
  return `${scheme}://${user}:${password}@${host ?? 'localhost'}:${port}/${vhost}`;
}

/** Options of TLS by what they are called: our names, those of `amqp/`, and Python's (`ssl_` in front for Redis). */
const tlsNames: Readonly<Record<string, keyof TlsOptions>> = {
  ca: 'ca',
  caCerts: 'ca',
  cert: 'cert',
  certfile: 'cert',
  key: 'key',
  keyfile: 'key',
  passphrase: 'passphrase',
  password: 'passphrase',
  servername: 'servername',
  serverName: 'servername',
  serverHostname: 'servername',
  minVersion: 'minVersion',
  rejectUnauthorized: 'rejectUnauthorized',
  insecureSkipVerify: 'rejectUnauthorized',
  certReqs: 'rejectUnauthorized',
};

/** Checks `brokerUseSsl` and its like. */
export function tlsOptions(value: unknown): boolean | TlsOptions {
  if (value === null) return false;
  if (typeof value === 'boolean') return value;
  if (value === 'true' || value === 'false') return value === 'true';
  if (!isRecord(value)) return unfit('true, false or an object of TLS options', value);
  const held: Record<string, unknown> = {};
  for (const [given, option] of Object.entries(value)) {
    if (option === undefined || option === null) continue;
    const spelled = camelCase(given.replace(/^ssl_/, ''));
    const name = Object.hasOwn(tlsNames, spelled) ? tlsNames[spelled] : undefined;
    if (name === undefined) {
      const known = ['ca', 'cert', 'key', 'passphrase', 'servername', 'minVersion', 'rejectUnauthorized'].join(', ');
      throw new ImproperlyConfigured(`has no option '${given}'; known: ${known}`);
    }
    held[name] = tlsOption(spelled, option);
  }
  return held;
}

function tlsOption(spelled: string, value: unknown): unknown {
  switch (spelled) {
    case 'insecureSkipVerify':
      return typeof value === 'boolean' ? !value : unfit('an object whose insecureSkipVerify is true or false', value);
    case 'rejectUnauthorized':
      return typeof value === 'boolean' ? value : unfit('an object whose rejectUnauthorized is true or false', value);
    case 'certReqs':
      return !(value === 0 || value === 'CERT_NONE' || value === 'none'); // CERT_OPTIONAL and CERT_REQUIRED check
    case 'ca':
    case 'caCerts':
      if (Array.isArray(value)) return value.map((one) => tlsOption('cert', one));
      return tlsOption('cert', value);
    default:
      return typeof value === 'string' || value instanceof Uint8Array
        ? value
        : unfit(`an object whose ${spelled} is text`, value);
  }
}

/**
 * The TLS options of the broker connections: files are read, names are those of `amqp/`. False: no TLS of its own
 * (an `amqps://` address has it all the same).
 * @throws {ImproperlyConfigured} when a certificate or key cannot be read.
 */
export function brokerTls(config: { readonly brokerUseSsl: boolean | TlsOptions }): boolean | BrokerTls {
  const given = config.brokerUseSsl;
  if (typeof given === 'boolean') return given;
  const { ca, cert, key, passphrase, servername, minVersion, rejectUnauthorized } = given;
  return {
    ...(ca === undefined ? {} : { ca: isList(ca) ? ca.map((one) => pem('ca', one)) : pem('ca', ca) }),
    ...(cert === undefined ? {} : { cert: pem('cert', cert) }),
    ...(key === undefined ? {} : { key: pem('key', key) }),
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(servername === undefined ? {} : { serverName: servername }),
    ...(minVersion === undefined ? {} : { minVersion }),
    ...(rejectUnauthorized === false ? { insecureSkipVerify: true } : {}),
  };
}

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}

/** A certificate or key as text or bytes; any other text is the path of a file. */
function pem(option: string, given: string | Uint8Array): string | Uint8Array {
  if (typeof given !== 'string' || given.includes('-----BEGIN')) return given;
  try {
    return readFileSync(given);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ImproperlyConfigured(`brokerUseSsl: the file of '${option}' cannot be read: ${reason}`, { cause: error });
  }
}
