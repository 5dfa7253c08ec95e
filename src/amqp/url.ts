/** Broker URLs, read as Celery reads them. */

/** TLS for a broker connection. Certificates are PEM text or bytes. Peers and names are verified by default. */
export interface TlsOptions {
  ca?: string | Uint8Array | readonly (string | Uint8Array)[];
  cert?: string | Uint8Array;
  key?: string | Uint8Array;
  passphrase?: string;
  serverName?: string;
  minVersion?: 'TLSv1.2' | 'TLSv1.3';
  /** Do not verify the peer. For experiments only; said aloud in the log. */
  insecureSkipVerify?: boolean;
}

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

/** Reads one URL or a list (an array, or text with `;`). @throws {ImproperlyConfigured} on a scheme that is not AMQP. */
export function parseBrokerUrls(_urls: string | readonly string[]): readonly BrokerUrl[] {
  throw new Error('unfinished');
}

/** `amqp://user:**@host:port/vhost`: fit for logs. */
export function maskedUrl(_url: BrokerUrl): string {
  throw new Error('unfinished');
}
