/**
 * Signing and checking, with the keys of one app. RSA keys sign by PSS with the longest salt, as Celery's do; Ed25519
 * keys, which Celery does not know, need no digest. Everything wrong with a signature is a `SecurityError`.
 */
import { constants, getHashes, type KeyObject, sign, verify } from 'node:crypto';
import { ImproperlyConfigured, SecurityError } from '../../core/errors.ts';
import type { SignerCertificate } from './certificate.ts';

/** What messages of an app are signed and checked with. */
export interface SigningKeys {
  readonly key: KeyObject;
  readonly certificate: SignerCertificate;
  /** Who is believed. Ids of certificates are unique here. */
  readonly trusted: readonly SignerCertificate[];
  /** `sha256`, `sha512`, `sha3_256` … Sender and receiver have the same. Default `sha256`. */
  readonly digest?: string | undefined;
  /** Wall clock, epoch ms. */
  now(): number;
}

export class Signatures {
  /** How messages name the signer: the id of our own certificate. */
  readonly signer: string;
  readonly #keys: SigningKeys;
  readonly #digest: string;
  readonly #trusted: ReadonlyMap<string, SignerCertificate>;

  /** @throws {ImproperlyConfigured} a key that is not the certificate's, or a digest nobody knows. */
  constructor(keys: SigningKeys) {
    if (!keys.certificate.belongsTo(keys.key)) {
      throw new ImproperlyConfigured('securityKey is not the private key of the certificate in securityCertificate.');
    }
    this.signer = keys.certificate.id;
    this.#keys = keys;
    this.#digest = digestName(keys.digest ?? 'sha256');
    this.#trusted = new Map(keys.trusted.map((certificate) => [certificate.id, certificate]));
  }

  now(): number {
    return this.#keys.now();
  }

  sign(data: Uint8Array): Uint8Array {
    const { key } = this.#keys;
    if (key.asymmetricKeyType === 'ed25519') return sign(null, data, key);
    const saltLength = constants.RSA_PSS_SALTLEN_MAX_SIGN;
    return sign(this.#digest, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
  }

  /** @throws {SecurityError} a signer who is not trusted or whose certificate does not hold now, or a wrong signature. */
  check(signer: string, signature: Uint8Array, data: Uint8Array): void {
    const certificate = this.#trusted.get(signer);
    const who = shown(signer);
    if (certificate === undefined) {
      throw new SecurityError(
        `Unknown certificate ${who}: nobody of that name is trusted. Put the sender's certificate into securityCertStore.`,
      );
    }
    const now = this.#keys.now();
    if (now >= certificate.validTo) {
      throw new SecurityError(
        `Expired certificate ${who}: it held until ${dateOf(certificate.validTo)}. Give the sender a new one, and put it into securityCertStore.`,
      );
    }
    if (now < certificate.validFrom) {
      throw new SecurityError(`The certificate ${who} holds from ${dateOf(certificate.validFrom)} on, and not yet.`);
    }
    if (!this.#fits(certificate.publicKey, signature, data)) {
      throw new SecurityError(
        `Bad signature by ${who}: the message was changed, or signed with another key or another securityDigest than '${this.#digest}'.`,
      );
    }
  }

  #fits(key: KeyObject, signature: Uint8Array, data: Uint8Array): boolean {
    try {
      if (key.asymmetricKeyType === 'ed25519') return verify(null, data, key, signature);
      const saltLength = constants.RSA_PSS_SALTLEN_AUTO;
      return verify(this.#digest, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }, signature);
    } catch {
      return false; // a signature of the wrong length, say
    }
  }
}

/** Python's `sha3_256` is OpenSSL's `sha3-256`. */
function digestName(given: string): string {
  const name = given.toLowerCase().replaceAll('_', '-');
  if (getHashes().some((hash) => hash.toLowerCase() === name)) return name;
  throw new ImproperlyConfigured(`There is no digest '${given}' (securityDigest); take sha256, sha384 or sha512.`);
}

function dateOf(instant: number): string {
  return new Date(instant).toISOString();
}

/** From the wire: bounded, and no control character as itself. */
export function shown(text: string): string {
  return `'${JSON.stringify(text.length > 120 ? `${text.slice(0, 120)}…` : text).slice(1, -1)}'`;
}
