/** Why TLS to a broker failed: whose certificate was refused, by whom, and what helps. */
import { AccessRefused, type CeleryError, ImproperlyConfigured, OperationalError } from '../core/errors.ts';
import { type BrokerUrl, hostAndPort } from './url.ts';

/** Undefined: the error is not about TLS. */
export function explainTlsError(error: Error, url: BrokerUrl): CeleryError | undefined {
  const cause = { cause: error };
  const where = hostAndPort(url);
  const code = textOf(error, 'code');
  if (code.startsWith('ERR_OSSL_') || code === 'ERR_CRYPTO_OPERATION_FAILED') {
    return new ImproperlyConfigured(`brokerUseSsl cannot be used: ${ownFault(code, textOf(error, 'reason'))}`, cause);
  }
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER') {
    return new OperationalError(
      `The broker at ${where} does not speak TLS there. Use amqp://, or the port that does (5671).`,
      cause,
    );
  }
  if (code.includes('PROTOCOL_VERSION')) {
    return new OperationalError(
      `The broker at ${where} speaks no version of TLS that is allowed here: let it speak 1.2 or newer (minVersion in brokerUseSsl).`,
      cause,
    );
  }
  if (code.includes('ALERT_CERTIFICATE_REQUIRED') || code.includes('ALERT_HANDSHAKE_FAILURE')) {
    return new AccessRefused(
      `The broker at ${where} wants a certificate of ours that it trusts: set 'cert' and 'key' in brokerUseSsl (${textOf(error, 'reason')}).`,
      cause,
    );
  }
  if (code.includes('_ALERT_')) {
    return new AccessRefused(
      `The broker at ${where} refused our certificate (${textOf(error, 'reason')}). Set 'cert' and 'key' in brokerUseSsl to one that holds and whose authority the broker trusts.`,
      cause,
    );
  }
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return new OperationalError(
        `The certificate of the broker at ${where} has expired: it needs a new one on the broker. Is the clock right here?`,
        cause,
      );
    case 'CERT_NOT_YET_VALID':
      return new OperationalError(
        `The certificate of the broker at ${where} does not hold yet. Is the clock right here?`,
        cause,
      );
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return new OperationalError(
        `The certificate of the broker at ${where} was made for another name: ${error.message.replace(/^.*altnames: (?=Host)/, '')}. Connect by a name that it carries, or give that as 'servername' in brokerUseSsl.`,
        cause,
      );
    default:
  }
  if (!/CERT|SIGNATURE|ISSUER|TLS|SSL/.test(code)) return undefined;
  return new OperationalError(
    `The certificate of the broker at ${where} was not accepted (${code}: ${textOf(error, 'reason') || error.message}). Give its authority as 'ca' in brokerUseSsl.`,
    cause,
  );
}

function ownFault(code: string, reason: string): string {
  if (code.includes('KEY_VALUES_MISMATCH')) return "'key' is not the private key of the certificate in 'cert'.";
  if (code.includes('NO_START_LINE')) return "'ca', 'cert' or 'key' is not PEM.";
  if (/DECRYPT|INTERRUPTED|PASSWORD|PASSPHRASE/.test(code)) {
    return "the private key in 'key' cannot be opened; 'passphrase' is wrong, or is missing.";
  }
  return `'ca', 'cert', 'key' or 'passphrase' is wrong (${reason || code}).`;
}

function textOf(error: Error, field: 'code' | 'reason'): string {
  const value: unknown = field in error ? Reflect.get(error, field) : undefined;
  return typeof value === 'string' ? value.trim() : '';
}
