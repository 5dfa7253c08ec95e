/**
 * A second signature, over what the first leaves open: which task, with which id, when, how long, where the answer
 * goes. It travels in a header of ours, which Celery carries along and does not read; a worker that requires it
 * refuses a message whose headers were changed, and one that is older than it may be.
 */
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { Envelope } from '../../core/envelope.ts';
import { SecurityError } from '../../core/errors.ts';
import type { Signatures } from './signatures.ts';

/** The header: `1 <epoch ms> <signer> <signature>`, the last two in base64. */
export const signatureHeader = 'celery-ts-signature';

/** Headers that decide what a worker does. Those that are only shown, and a user's own, are not signed. */
const signedHeaders = [
  'task',
  'id',
  'eta',
  'expires',
  'retries',
  'timelimit',
  'group',
  'group_index',
  'root_id',
  'parent_id',
  'ignore_result',
  'replaced_task_nesting',
  'compression',
  'celery-ts-crashes',
] as const;

export interface HeaderSigning {
  /** The value of the header for this message. */
  sign(envelope: Envelope): string;
  /** @throws {SecurityError} a message that must have the header and has none, a wrong one, or one that is too old. */
  check(envelope: Envelope, waitsUntil: number | undefined): void;
}

export interface HeaderSigningOptions {
  readonly signatures: Signatures;
  /** Refuse a message without a valid header. */
  readonly isRequired: boolean;
  /** Refuse a message that was signed, or whose eta came, longer ago. Undefined: never. */
  readonly maxAgeMs: number | undefined;
}

export function createHeaderSigning({ signatures, isRequired, maxAgeMs }: HeaderSigningOptions): HeaderSigning {
  return {
    sign(envelope) {
      const signedAt = String(Math.floor(signatures.now()));
      const signature = signatures.sign(dataOf(envelope, signedAt, signatures.signer));
      return `1 ${signedAt} ${base64(Buffer.from(signatures.signer))} ${base64(signature)}`;
    },
    check(envelope, waitsUntil) {
      if (!isRequired) return;
      const header = Object.hasOwn(envelope.headers, signatureHeader) ? envelope.headers[signatureHeader] : undefined;
      const match = typeof header === 'string' ? /^1 (\d{1,16}) ([\w+/=]+) ([\w+/=]+)$/.exec(header) : null;
      if (match === null) {
        throw new SecurityError(
          `The headers of the message are not signed, and securitySignedHeaders is 'require' here. Its sender needs celery-ts with securitySignedHeaders 'sign' or 'require'.`,
        );
      }
      const [, signedAt = '', signerText = '', signatureText = ''] = match;
      const signer = Buffer.from(signerText, 'base64').toString('utf8');
      const signature = Buffer.from(signatureText, 'base64');
      if (base64(signature) !== signatureText || base64(Buffer.from(signer)) !== signerText) {
        throw new SecurityError('Bad signature of the headers: it is not base64 to the letter.');
      }
      signatures.check(signer, signature, dataOf(envelope, signedAt, signer));
      if (maxAgeMs === undefined) return;
      const ageMs = signatures.now() - Math.max(Number(signedAt), waitsUntil ?? 0);
      if (ageMs > maxAgeMs) {
        throw new SecurityError(
          `The message was signed ${Math.round(ageMs / 1000)} s ago; older than ${maxAgeMs / 1000} s is refused (securityMaxAge).`,
        );
      }
    },
  };
}

function dataOf({ body, headers, properties }: Envelope, signedAt: string, signer: string): Uint8Array {
  const parts = [
    'celery-ts headers 1',
    signedAt,
    signer,
    createHash('sha256').update(body).digest('base64'),
    properties.contentType ?? '',
    properties.contentEncoding ?? '',
    properties.correlationId ?? '',
    properties.replyTo ?? '',
    ...signedHeaders.map((name) => (Object.hasOwn(headers, name) ? (headers[name] ?? null) : null)),
  ];
  return Buffer.from(JSON.stringify(parts, (_key, value) => (typeof value === 'bigint' ? String(value) : value)));
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
