/**
 * Keys and X.509 certificates (RFC 5280) made in the test, with nothing but Node: authorities, servers, clients, signers;
 * expired ones and such for another name, too. Everything is PEM text.
 */
import { Buffer } from 'node:buffer';
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIPv4 } from 'node:net';

export interface Identity {
  readonly cert: string;
  readonly key: string;
  /** As the issuer of others. */
  readonly name: Name;
}

type Name = readonly (readonly [oid: string, value: string])[];

export interface CertificateOptions {
  /** The common name, or several values from the country down: `{ C: 'DE', O: 'Example', CN: 'ca' }`. */
  readonly subject: string | Readonly<Record<string, string>>;
  /** Who signs. Default: itself. */
  readonly issuer?: Identity;
  /** Default `rsa`, of 2048 bits. */
  readonly keyType?: 'rsa' | 'ed25519' | 'ec';
  /** Days from now. Default -1. */
  readonly fromDay?: number;
  /** Days from now. Default 30. */
  readonly toDay?: number;
  /** Names and addresses of a server. */
  readonly altNames?: readonly string[];
  readonly isAuthority?: boolean;
  /** A key made before. */
  readonly key?: string;
  /** Default: random, 8 bytes. */
  readonly serial?: Buffer;
}

const oids: Readonly<Record<string, string>> = { C: '2.5.4.6', O: '2.5.4.10', OU: '2.5.4.11', CN: '2.5.4.3' };
const dayMs = 24 * 3600 * 1000;

export function makeCertificate(options: CertificateOptions): Identity {
  const { issuer, keyType = 'rsa', fromDay = -1, toDay = 30 } = options;
  const key = options.key ?? newKey(keyType);
  const subject = typeof options.subject === 'string' ? { CN: options.subject } : options.subject;
  const name: Name = Object.entries(subject).map(([word, value]) => [oids[word] ?? word, value]);
  const signer = createPrivateKey(issuer?.key ?? key);
  const algorithm = {
    rsa: sequence(oid('1.2.840.113549.1.1.11'), der(0x05)),
    ed25519: sequence(oid('1.3.101.112')),
    ec: sequence(oid('1.2.840.10045.4.3.2')),
  }[String(signer.asymmetricKeyType) as 'rsa'];
  const now = Date.now();
  const tbs = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(options.serial ?? Buffer.concat([Buffer.from([0x11]), randomBytes(7)])),
    algorithm,
    nameOf(issuer?.name ?? name),
    sequence(time(now + fromDay * dayMs), time(now + toDay * dayMs)),
    nameOf(name),
    createPublicKey(key).export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions(options))),
  );
  const signature = sign(signer.asymmetricKeyType === 'ed25519' ? null : 'sha256', tbs, signer);
  const whole = sequence(tbs, algorithm, der(0x03, Buffer.from([0]), signature));
  const lines = whole.toString('base64').match(/.{1,64}/g) ?? [];
  return { cert: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`, key, name };
}

/** A private key in PEM (PKCS 8), under a password when one is given. */
export function newKey(keyType: 'rsa' | 'ed25519' | 'ec' = 'rsa'): string {
  const pair =
    keyType === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : keyType === 'ec'
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
        : generateKeyPairSync('ed25519');
  return pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** The same key under a password. */
export function lockedKey(key: string, passphrase: string): string {
  return createPrivateKey(key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase }).toString();
}

function extensions({ altNames = [], isAuthority = false }: CertificateOptions): Buffer[] {
  const yes = der(0x01, Buffer.from([0xff]));
  const constraints = der(0x04, sequence(...(isAuthority ? [yes] : [])));
  const found = [sequence(oid('2.5.29.19'), yes, constraints)];
  if (altNames.length > 0) {
    const names = altNames.map((name) =>
      isIPv4(name) ? der(0x87, Buffer.from(name.split('.').map(Number))) : der(0x82, Buffer.from(name)),
    );
    found.push(sequence(oid('2.5.29.17'), der(0x04, sequence(...names))));
  }
  return found;
}

function nameOf(name: Name): Buffer {
  return sequence(...name.map(([type, value]) => der(0x31, sequence(oid(type), der(0x0c, Buffer.from(value))))));
}

function time(instant: number): Buffer {
  const text = new Date(instant).toISOString().replace(/[-:T]|\.\d+/g, '');
  return Number(text.slice(0, 4)) < 2050 ? der(0x17, Buffer.from(text.slice(2))) : der(0x18, Buffer.from(text));
}

function integer(bytes: Buffer): Buffer {
  return der(0x02, (bytes[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return der(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(value: number): number[] {
  const digits = [value % 128];
  for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128)) digits.unshift((left % 128) + 128);
  return digits;
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(0x30, ...parts);
}

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const size = content.length;
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}
