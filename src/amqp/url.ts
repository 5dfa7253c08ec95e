/**
 * Broker URLs, read as Celery reads them: `transport://user:password@host:port/vhost?option=value`, one or several.
 * Only the scheme is required. The path `//` is the virtual host `/`, and so is no path at all; parts are percent-decoded.
 */
import { ImproperlyConfigured } from '../core/errors.ts';

/** TLS for a broker connection. Certificates are PEM text or bytes. The peer and its name are verified by default. */
export interface TlsOptions {
  /** Who signs the broker's certificate. Default: what Node trusts. */
  ca?: string | Uint8Array | readonly (string | Uint8Array)[];
  /** Our own certificate, where the broker asks for one. */
  cert?: string | Uint8Array;
  key?: string | Uint8Array;
  passphrase?: string;
  /** The name the broker's certificate must carry. Default: the host of the URL. */
  serverName?: string;
  /** Default `TLSv1.2`. */
  minVersion?: 'TLSv1.2' | 'TLSv1.3';
  /** Believe any certificate. For experiments; said aloud in the log at each connect. */
  insecureSkipVerify?: boolean;
}

/** One broker address, all defaults filled in. */
export interface BrokerUrl {
  readonly tls: boolean;
  readonly hostname: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  readonly vhost: string;
  readonly heartbeatSeconds: number | undefined;
  readonly connectTimeoutSeconds: number | undefined;
  readonly frameMax: number | undefined;
  readonly channelMax: number | undefined;
}

const schemes: Readonly<Record<string, { readonly tls: boolean }>> = {
  amqp: { tls: false },
  pyamqp: { tls: false },
  librabbitmq: { tls: false },
  amqps: { tls: true },
};

/** Query options, in the spellings of RabbitMQ's URI specification, kombu and amqplib. */
const queryOptions: Readonly<
  Record<string, 'heartbeatSeconds' | 'connectTimeoutSeconds' | 'connectTimeoutMs' | 'frameMax' | 'channelMax'>
> = {
  heartbeat: 'heartbeatSeconds',
  connect_timeout: 'connectTimeoutSeconds',
  connection_timeout: 'connectTimeoutMs',
  frame_max: 'frameMax',
  frameMax: 'frameMax',
  channel_max: 'channelMax',
  channelMax: 'channelMax',
};

/**
 * Reads one URL, text with several between `;`, or a list.
 *
 * @throws {ImproperlyConfigured} when there is none, on a scheme that is not AMQP, or when one cannot be read.
 */
export function parseBrokerUrls(urls: string | readonly string[]): readonly BrokerUrl[] {
  const list = (typeof urls === 'string' ? [urls] : urls)
    .flatMap((text) => text.split(';'))
    .map((text) => text.trim())
    .filter((text) => text !== '');
  if (list.length === 0) {
    throw new ImproperlyConfigured("There is no broker URL. Set brokerUrl, 'amqp://guest:guest@localhost:5672//' say.");
  }
  return list.map(parseBrokerUrl);
}

/** `amqp://user:**@host:port/vhost`: fit for logs, and readable as a URL again but for the password. */
export function maskedUrl(url: BrokerUrl): string {
  const scheme = url.tls ? 'amqps' : 'amqp';
  const vhost = url.vhost === '/' ? '/' : encodeURIComponent(url.vhost);
  return `${scheme}://${encodeURIComponent(url.username)}:**@${hostAndPort(url)}/${vhost}`;
}

/** `host:port`, with brackets around an IPv6 address. */
export function hostAndPort({ hostname, port }: Pick<BrokerUrl, 'hostname' | 'port'>): string {
  return hostname.includes(':') ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

function parseBrokerUrl(text: string): BrokerUrl {
  const match = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(.*)$/is.exec(text);
  const rest = match?.[2] ?? '';
  const scheme = match?.[1]?.toLowerCase() ?? (rest in schemes ? rest : 'amqp');
  const known = Object.hasOwn(schemes, scheme) ? schemes[scheme] : undefined;
  if (known === undefined) {
    throw new ImproperlyConfigured(
      `The broker URL begins with '${scheme}://', and celery-ts speaks AMQP only: use amqp://, amqps://, pyamqp:// or librabbitmq://.`,
    );
  }
  const parts = splitUrl(match?.[1] === undefined && rest in schemes ? '' : rest);
  return {
    tls: known.tls,
    hostname: parts.hostname === '' ? 'localhost' : decoded(parts.hostname, 'host'),
    port: parts.port === '' ? (known.tls ? 5671 : 5672) : portOf(parts.port),
    username: decoded(parts.username, 'user name') || 'guest', // a missing part is `guest`, as in Celery
    password: decoded(parts.password, 'password') || 'guest',
    vhost: decoded(parts.path, 'virtual host') || '/',
    ...readQuery(parts.query),
  };
}

interface UrlParts {
  readonly username: string;
  readonly password: string;
  readonly hostname: string;
  readonly port: string;
  /** What follows the first slash. */
  readonly path: string;
  readonly query: string;
}

/** By hand, because `URL` refuses forms that Celery takes (no host, a password with `#`) and keeps the others encoded. */
function splitUrl(rest: string): UrlParts {
  const [authority, afterAt] = cutLast(rest, '@');
  const [beforeQuery, query = ''] = cut(afterAt, '?');
  const [host, path = ''] = cut(beforeQuery, '/');
  const split = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(host);
  if (split === null) throw new ImproperlyConfigured(`The broker URL has '${host}' where host:port belongs.`);
  const [username, password = ''] = cut(authority ?? '', ':');
  return {
    username,
    password,
    hostname: (split[1] ?? '').replace(/^\[|\]$/g, ''),
    port: split[2] ?? '',
    path,
    query,
  };
}

/** What stands before and after the first `mark`. */
function cut(text: string, mark: string): [before: string, after: string | undefined] {
  const at = text.indexOf(mark);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

/** What stands before the last `mark`, if there is one, and what after it. */
function cutLast(text: string, mark: string): [before: string | undefined, after: string] {
  const at = text.lastIndexOf(mark);
  return at === -1 ? [undefined, text] : [text.slice(0, at), text.slice(at + 1)];
}

function decoded(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ImproperlyConfigured(`The ${what} in the broker URL is not percent-encoded well: write % as %25.`);
  }
}

function portOf(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw new ImproperlyConfigured(
    'The broker URL has no port from 1 to 65535 after its host. A : / @ or ? in the password is written percent-encoded.',
  );
}

function readQuery(
  query: string,
): Pick<BrokerUrl, 'heartbeatSeconds' | 'connectTimeoutSeconds' | 'frameMax' | 'channelMax'> {
  const found: Partial<Record<(typeof queryOptions)[string], number>> = {};
  for (const [key, text] of new URLSearchParams(query)) {
    const option = Object.hasOwn(queryOptions, key) ? queryOptions[key] : undefined;
    if (option === undefined) {
      throw new ImproperlyConfigured(
        `The broker URL has an option '${key}' that is not known; there are ${Object.keys(queryOptions).join(', ')}.`,
      );
    }
    const value = Number(text);
    if (text === '' || !Number.isFinite(value) || value < 0) {
      throw new ImproperlyConfigured(
        `The option '${key}' in the broker URL must be a number, 0 or more; got '${text}'.`,
      );
    }
    found[option] = value;
  }
  const { connectTimeoutMs } = found;
  return {
    heartbeatSeconds: found.heartbeatSeconds,
    connectTimeoutSeconds: connectTimeoutMs === undefined ? found.connectTimeoutSeconds : connectTimeoutMs / 1000,
    frameMax: found.frameMax,
    channelMax: found.channelMax,
  };
}
