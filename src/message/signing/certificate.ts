/** The certificates of signers: who they are called, until when they hold, and the key that checks their signatures. */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { SecurityError } from '../../core/errors.ts';
import { issuerValues } from './der.ts';

/** A certificate that messages are signed with. */
export interface SignerCertificate {
  /** The issuer's values and the serial number, between blanks: how messages name it, Celery's too. */
  readonly id: string;
  readonly publicKey: KeyObject;
  /** Epoch ms. */
  readonly validFrom: number;
  /** Epoch ms. */
  readonly validTo: number;
  /** True when `key` is the private half of its key. */
  belongsTo(key: KeyObject): boolean;
}

/** Reads a certificate in PEM. @throws {SecurityError} text that is none, or a key that is neither RSA nor Ed25519. */
export function readCertificate(pem: string | Uint8Array): SignerCertificate {
  let certificate: X509Certificate;
  let issuer: string[];
  try {
    certificate = new X509Certificate(pem);
    issuer = issuerValues(certificate.raw);
  } catch (error) {
    throw new SecurityError(`This is no certificate in PEM: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
  const { publicKey } = certificate;
  checkKeyType(publicKey);
  return {
    id: `${issuer.join(' ')} ${BigInt(`0x${certificate.serialNumber}`)}`,
    publicKey,
    validFrom: Date.parse(certificate.validFrom),
    validTo: Date.parse(certificate.validTo),
    belongsTo: (key) => certificate.checkPrivateKey(key),
  };
}

/** @throws {SecurityError} */
export function checkKeyType({ asymmetricKeyType }: KeyObject): void {
  if (asymmetricKeyType === 'rsa' || asymmetricKeyType === 'ed25519') return;
  throw new SecurityError(
    `Messages are signed with keys of type rsa (Celery's only one) or ed25519; this one is ${asymmetricKeyType ?? 'secret'}.`,
  );
}
