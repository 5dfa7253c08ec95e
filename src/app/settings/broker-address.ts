/**
 * Broker addresses and TLS options as users write them. AMQP is the only transport: another scheme is refused by name.
 * `brokerUrls` gives the list that a connection tries, put together from the URL settings or the old split ones.
 */
import { parseBrokerUrls } from '../../amqp/index.ts';
import { ImproperlyConfigured } from '../../core/errors.ts';
import { redactText } from '../../core/redact.ts';
import { camelCase, isRecord, unfit } from './setting.ts';

/** `brokerTransportOptions`. */
export interface TransportOptions {
  /** Wait for the broker's confirm of every task. Default true. */
  readonly confirmPublish?: boolean | undefined;
  readonly maxRetries?: number | undefined;
  /** Seconds. */
  readonly intervalStart?: number | undefined;
  /** Seconds. */
  readonly intervalStep?: number | undefined;
  /** Seconds. */
  readonly intervalMax?: number | undefined;
  readonly clientProperties?: Readonly<Record<string, unknown>> | undefined;
  readonly [more: string]: unknown;
}

/** `brokerUseSsl`: names of `node:tls`. Texts are PEM or paths of PEM files. */
export interface TlsOptions {
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  readonly cert?: string | Uint8Array | undefined;
  readonly key?: string | Uint8Array | undefined;
  readonly passphrase?: string | undefined;
  readonly servername?: string | undefined;
  /** False switches the check of the peer off: only with a name of its own in a test. */
  readonly rejectUnauthorized?: boolean | undefined;
  readonly [more: string]: unknown;
}

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

/** What Python's `ssl` calls its options. */
const pythonNames: Readonly<Record<string, string>> = {
  keyfile: 'key',
  certfile: 'cert',
  caCerts: 'ca',
  serverHostname: 'servername',
};

/** Checks `brokerUseSsl`; Python's names become those of `node:tls`. */
export function tlsOptions(value: unknown): boolean | TlsOptions {
  if (value === null) return false;
  if (typeof value === 'boolean') return value;
  if (value === 'true' || value === 'false') return value === 'true';
  if (!isRecord(value)) return unfit('true, false or an object of TLS options', value);
  const held: Record<string, unknown> = {};
  for (const [key, given] of Object.entries(value)) {
    const name = camelCase(key);
    if (name === 'certReqs') held.rejectUnauthorized = isVerified(given);
    else held[pythonNames[name] ?? name] = given;
  }
  return held;
}

/** `ssl.CERT_NONE` is 0; `CERT_OPTIONAL` and `CERT_REQUIRED` check. */
function isVerified(value: unknown): boolean {
  return !(value === 0 || value === 'CERT_NONE' || value === 'none' || value === false);
}
