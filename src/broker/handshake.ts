/**
 * How a connection begins: protocol header, credentials, limits, virtual host.
 *
 *   header -> start -> tune -> open -> done
 */
import { Buffer } from 'node:buffer';
import { mechanisms, readCredentials } from './authentication.ts';
import { AmqpError } from './errors.ts';
import type { Vhost } from './vhost.ts';
import { field, type Table, textOf } from './wire/field-table.ts';
import type { Fields, Method } from './wire/methods.ts';
import type { Outbox } from './wire/outbox.ts';

/** What was agreed. */
export interface Session {
  readonly user: string;
  readonly vhost: Vhost;
  readonly capabilities: ReadonlySet<string>;
  /** What the client calls itself. */
  readonly clientName: string | undefined;
  readonly channelMax: number;
}

export interface HandshakeHost {
  /** Of the broker, for the client to know. */
  readonly version: string;
  readonly outbox: Outbox;
  isUser(user: string, password: string): boolean;
  findVhost(name: string): Vhost | undefined;
  /** Limits are agreed on; 0 means no heartbeats. */
  tuned(frameMax: number, heartbeatSeconds: number): void;
  opened(session: Session): void;
}

/** RabbitMQ's offers. */
export const channelMaxOffered = 2047;
export const frameMaxOffered = 131072;
const heartbeatOffered = 60;
/** The smallest frame a peer may insist on. */
const frameMin = 4096;
export const protocolHeader = Buffer.from('AMQP\x00\x00\x09\x01', 'latin1');

export class Handshake {
  readonly #host: HandshakeHost;
  #state: 'header' | 'start' | 'tune' | 'open' | 'done' = 'header';
  #header = Buffer.alloc(0);
  #user = '';
  #clientName: string | undefined;
  #capabilities: ReadonlySet<string> = new Set();
  #channelMax = channelMaxOffered;

  constructor(host: HandshakeHost) {
    this.#host = host;
  }

  /** Only header bytes have come so far. */
  get isAwaitingHeader(): boolean {
    return this.#state === 'header';
  }

  /** The client understands a refusal of its credentials. */
  get takesRefusal(): boolean {
    return this.#state !== 'start' || this.#capabilities.has('authentication_failure_close');
  }

  /** Takes the first bytes: says what to do with the rest, or that this is no AMQP 0-9-1 client. */
  onHeader(chunk: Buffer): { readonly rest: Buffer } | 'more' | 'wrong' {
    this.#header = Buffer.concat([this.#header, chunk]);
    const given = this.#header.subarray(0, 8);
    if (!isTaken(given)) return 'wrong';
    if (given.length < 8) return 'more';
    this.#state = 'start';
    this.#host.outbox.method(0, 'connection.start', {
      versionMajor: 0,
      versionMinor: 9,
      serverProperties: serverProperties(this.#host.version),
      mechanisms: Buffer.from(mechanisms),
      locales: Buffer.from('en_US'),
    });
    return { rest: this.#header.subarray(8) };
  }

  onMethod(method: Method): void {
    if (method.name === 'connection.start-ok' && this.#state === 'start') this.#authenticate(method);
    else if (method.name === 'connection.tune-ok' && this.#state === 'tune') this.#tune(method);
    else if (method.name === 'connection.open' && this.#state === 'open') this.#open(method.virtualHost);
    else throw new AmqpError('CHANNEL_ERROR', `unexpected method in connection state ${this.#state}`);
  }

  #authenticate({ clientProperties, mechanism, response }: Fields<'connection.start-ok'>): void {
    this.#capabilities = capabilitiesOf(clientProperties);
    this.#clientName = textOf(clientProperties.get('connection_name'));
    if (!mechanisms.split(' ').includes(mechanism)) {
      throw new AmqpError('COMMAND_INVALID', `unknown authentication mechanism '${mechanism}'`);
    }
    const credentials = readCredentials(mechanism, response);
    if (credentials === undefined || !this.#host.isUser(credentials.user, credentials.password)) {
      const text = `Login was refused using authentication mechanism ${mechanism}. For details see the broker logfile.`;
      throw new AmqpError('ACCESS_REFUSED', text, 'connection');
    }
    this.#user = credentials.user;
    this.#state = 'tune';
    this.#host.outbox.method(0, 'connection.tune', {
      channelMax: channelMaxOffered,
      frameMax: frameMaxOffered,
      heartbeat: heartbeatOffered,
    });
  }

  /** 0 asks for no limit, which is above ours. */
  #tune({ channelMax, frameMax, heartbeat }: Fields<'connection.tune-ok'>): void {
    for (const [name, asked, offered] of [
      ['channel_max', channelMax, channelMaxOffered],
      ['frame_max', frameMax, frameMaxOffered],
    ] as const) {
      if (asked > 0 && asked <= offered) continue;
      const text = `negotiated ${name} = ${asked} is higher than the maximum allowed value (${offered})`;
      throw new AmqpError('NOT_ALLOWED', text);
    }
    if (frameMax < frameMin) {
      const text = `negotiated frame_max = ${frameMax} is lower than the minimum allowed value (${frameMin})`;
      throw new AmqpError('NOT_ALLOWED', text);
    }
    this.#channelMax = channelMax;
    this.#state = 'open';
    this.#host.tuned(frameMax, heartbeat);
  }

  #open(name: string): void {
    const vhost = this.#host.findVhost(name);
    if (vhost === undefined) throw new AmqpError('NOT_ALLOWED', `vhost ${name} not found`);
    this.#state = 'done';
    this.#host.opened({
      user: this.#user,
      vhost,
      capabilities: this.#capabilities,
      clientName: this.#clientName,
      channelMax: this.#channelMax,
    });
    this.#host.outbox.method(0, 'connection.open-ok', {});
  }
}

/** Old clients ask for 0-9 (`AMQP 1 1 0 9`) and get 0-9-1 from RabbitMQ too. */
function isTaken(given: Buffer): boolean {
  return [protocolHeader, Buffer.from('AMQP\x01\x01\x00\x09', 'latin1')].some((header) =>
    header.subarray(0, given.length).equals(given),
  );
}

function capabilitiesOf(clientProperties: Table): ReadonlySet<string> {
  const table = clientProperties.get('capabilities');
  if (table?.type !== 'F') return new Set();
  return new Set([...table.value].filter(([, value]) => value.type === 't' && value.value).map(([name]) => name));
}

function serverProperties(version: string): Table {
  const { bool, table, text } = field;
  return new Map([
    [
      'capabilities',
      table({
        publisher_confirms: bool(true),
        exchange_exchange_bindings: bool(true),
        'basic.nack': bool(true),
        consumer_cancel_notify: bool(true),
        'connection.blocked': bool(true),
        consumer_priorities: bool(true),
        authentication_failure_close: bool(true),
        per_consumer_qos: bool(true),
        direct_reply_to: bool(true),
      }),
    ],
    ['product', text('celery-ts broker')],
    ['version', text(version)],
    ['platform', text('Node.js')],
    ['information', text('For development and tests; production is RabbitMQ.')],
  ]);
}
