/**
 * `app.setupSecurity()`: reads key, certificate and the certificates that are trusted, and says what is wrong with them
 * before a message is. How messages are signed is in `message/signing/`.
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { resolve, sep } from 'node:path';
import { CeleryError, ImproperlyConfigured } from '../core/errors.ts';
import { isGlob, matchesGlob } from '../core/globs.ts';
import type { System } from '../core/system.ts';
import { checkKeyType, readCertificate, type SignerCertificate, type SigningOptions } from '../message/index.ts';
import type { Config } from './settings.ts';

/** What `setupSecurity` takes instead of the settings. Key and certificate are PEM, or paths of PEM files. */
export interface SecurityOptions {
  /** Serializers that a signed body may have been written in. Default: every one that is known. Celery: `allowed_serializers`. */
  readonly allowedSerializers?: readonly string[];
  /** Default: `securityKey`. */
  readonly key?: string;
  /** Default: `securityKeyPassword`. */
  readonly keyPassword?: string | Uint8Array;
  /** Default: `securityCertificate`. */
  readonly cert?: string;
  /** Folder or glob. Default: `securityCertStore`. */
  readonly store?: string;
  /** Default: `securityDigest`. */
  readonly digest?: string;
  /** What bodies are written in before they are signed. Default `json`. */
  readonly serializer?: string;
}

/** @throws {ImproperlyConfigured} naming the setting at fault and its cure. */
export function readSigning(options: SecurityOptions, config: Config, system: System): SigningOptions {
  const accepted = config.acceptContent;
  if (config.taskSerializer !== 'auth' || accepted.length !== 1 || accepted[0] !== 'auth') {
    throw new ImproperlyConfigured(
      "setupSecurity() wants messages signed and only signed ones read: set taskSerializer to 'auth' and acceptContent to ['auth'] (and resultSerializer and eventSerializer to 'auth', if results and events are read by the same rule).",
    );
  }
  const key = options.key ?? config.securityKey;
  const cert = options.cert ?? config.securityCertificate;
  const store = options.store ?? config.securityCertStore;
  if (key === undefined || cert === undefined || store === undefined) {
    const given = { securityKey: key, securityCertificate: cert, securityCertStore: store };
    const missing = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [name] : []));
    throw new ImproperlyConfigured(
      `setupSecurity() needs securityKey, securityCertificate and securityCertStore; not set: ${missing.join(', ')}.`,
    );
  }
  const { securitySignedHeaders: headers, securityMaxAge } = config;
  if (securityMaxAge !== undefined && headers !== 'require') {
    throw new ImproperlyConfigured(
      "securityMaxAge needs securitySignedHeaders to be 'require': elsewhere nobody signs the age.",
    );
  }
  warnOfUnsigned(config, system);
  const certificate = ownCertificate(cert, system);
  return {
    keys: {
      key: privateKey(key, options.keyPassword ?? config.securityKeyPassword, system.cwd()),
      certificate,
      trusted: trustedIn(store, system),
      digest: options.digest ?? config.securityDigest,
      now: () => system.now(),
    },
    serializer: options.serializer,
    allowed: options.allowedSerializers,
    headers,
    maxAgeMs: securityMaxAge === undefined ? undefined : securityMaxAge * 1000,
  };
}

/** What is written otherwise than it is read by the same rule would be refused by our own. */
function warnOfUnsigned({ eventSerializer, resultAcceptContent, resultSerializer }: Config, system: System): void {
  const isResultRead = resultSerializer === 'auth' || resultAcceptContent?.includes(resultSerializer) === true;
  const unread = [
    ...(isResultRead ? [] : [`results (resultSerializer '${resultSerializer}')`]),
    ...(eventSerializer === 'auth' ? [] : [`events (eventSerializer '${eventSerializer}')`]),
  ];
  if (unread.length > 0)
    system.log.warn({ unread }, "Only signed content is read: set these serializers to 'auth' too");
}

function ownCertificate(given: string, system: System): SignerCertificate {
  const certificate = certificateOf('securityCertificate', pemOf('securityCertificate', given, system.cwd()));
  if (certificate.validTo > system.now()) return certificate;
  const until = new Date(certificate.validTo).toISOString();
  throw new ImproperlyConfigured(
    `securityCertificate: it expired at ${until}, and nobody would believe what it signs. Make a new one.`,
  );
}

function privateKey(given: string, password: string | Uint8Array | undefined, cwd: string): KeyObject {
  const pem = pemOf('securityKey', given, cwd);
  const passphrase = password === undefined ? {} : { passphrase: Buffer.from(password) };
  try {
    const key = createPrivateKey({ key: pem, format: 'pem', ...passphrase });
    checkKeyType(key);
    return key;
  } catch (error) {
    if (error instanceof CeleryError) throw new ImproperlyConfigured(`securityKey: ${error.message}`, { cause: error });
    const cure =
      password === undefined
        ? 'Is it a private key in PEM? If it has a password, set securityKeyPassword.'
        : 'Is securityKeyPassword the right one?';
    throw new ImproperlyConfigured(`securityKey: the private key cannot be read. ${cure}`, { cause: error });
  }
}

/** What cannot be believed any more is said, and is no reason not to start: a message signed with it is refused by name. */
function trustedIn(store: string, system: System): SignerCertificate[] {
  const paths = filesOf(store, system.cwd());
  if (paths.length === 0) {
    throw new ImproperlyConfigured(
      `securityCertStore: there is no file at '${store}'. It is a folder or a glob of certificates.`,
    );
  }
  const found = new Map<string, SignerCertificate>();
  for (const path of paths) {
    const certificate = certificateOf(`securityCertStore, ${path}`, readFileSync(path, 'latin1'));
    if (found.has(certificate.id)) {
      throw new ImproperlyConfigured(
        `securityCertStore, ${path}: another file there has a certificate of the same name, '${certificate.id}'.`,
      );
    }
    if (certificate.validTo <= system.now()) {
      system.log.warn(
        { path, certificate: certificate.id },
        'A trusted certificate has expired; its messages are refused',
      );
    }
    found.set(certificate.id, certificate);
  }
  return [...found.values()];
}

function certificateOf(where: string, pem: string): SignerCertificate {
  try {
    return readCertificate(pem);
  } catch (error) {
    throw new ImproperlyConfigured(`${where}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function pemOf(setting: string, given: string, cwd: string): string {
  if (given.includes('-----BEGIN ')) return given;
  try {
    return readFileSync(resolve(cwd, given), 'latin1');
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? error.code : 'unknown';
    throw new ImproperlyConfigured(`${setting}: the file '${given}' cannot be read (${reason}).`, { cause: error });
  }
}

/** The files of a folder, or those a glob names; hidden ones only when it names them. Sorted. */
function filesOf(store: string, cwd: string): string[] {
  const whole = resolve(cwd, store);
  const pattern = isFolder(whole) ? `${whole}${sep}*` : whole;
  let folders = [''];
  const parts = pattern.split(sep);
  for (const [index, part] of parts.entries()) {
    const isLast = index === parts.length - 1;
    const next = isGlob(part)
      ? folders.flatMap((folder) => entriesOf(`${folder}${sep}`, part).map((name) => `${folder}${sep}${name}`))
      : folders.map((folder) => (index === 0 ? part : `${folder}${sep}${part}`));
    folders = next.filter((path) => (isLast ? isFile(path) : isFolder(`${path}${sep}`)));
  }
  return folders.sort();
}

function entriesOf(folder: string, pattern: string): string[] {
  return readdirSync(folder).filter(
    (name) => matchesGlob(pattern, name) && (!name.startsWith('.') || pattern.startsWith('.')),
  );
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
