/**
 * The serializer `auth`, as Celery writes it: base64 of signer, signature, content type, content encoding and body,
 * with the bytes 0 and 1 between them; signer and signature once more in base64. The signature is of the body alone:
 * what it says of the other fields is in header-signature.ts.
 */
import { Buffer } from 'node:buffer';
import { ContentDisallowed, SecurityError } from '../../core/errors.ts';
import type { Codec } from '../codec.ts';
import type { RawValue, Serializer } from '../serialization/serializer.ts';
import { type Signatures, shown } from './signatures.ts';

export interface AuthOptions {
  readonly signatures: Signatures;
  /** What bodies are written in before they are signed. Default `json`. */
  readonly serializer: string;
  /** Content types that a signed body may have. */
  readonly accept: () => ReadonlySet<string>;
}

const separator = Buffer.from([0, 1]);
const contentType = 'application/data';

/** Signs what it writes and reads only what somebody trusted has signed. */
export function createAuthSerializer(codec: Codec, { signatures, serializer, accept }: AuthOptions): Serializer {
  const decodeRaw = (payload: string | Uint8Array): RawValue => {
    const signed = unpack(payload);
    signatures.check(signed.signer, signed.signature, signed.body);
    const allowed = accept();
    if (signed.contentType === contentType || !allowed.has(signed.contentType)) {
      throw new ContentDisallowed(
        `A signed body of type ${shown(signed.contentType)} is refused; allowed inside: ${[...allowed].join(', ')}.`,
      );
    }
    return codec.deserializeRaw(signed.body, signed.contentType, signed.contentEncoding, allowed);
  };
  return {
    name: 'auth',
    contentType,
    contentEncoding: 'utf-8',
    encode(value) {
      const { body, ...written } = codec.serialize(value, serializer);
      const fields = [
        Buffer.from(signatures.signer).toString('base64'),
        Buffer.from(signatures.sign(body)).toString('base64'),
        written.contentType,
        written.contentEncoding,
      ].map((field) => Buffer.concat([Buffer.from(field), separator]));
      return Buffer.concat([...fields, body]).toString('base64');
    },
    decode(payload) {
      const { value, revive } = decodeRaw(payload);
      return revive === undefined ? value : revive(value);
    },
    decodeRaw,
  };
}

interface SignedBody {
  readonly signer: string;
  readonly signature: Uint8Array;
  readonly contentType: string;
  readonly contentEncoding: string;
  readonly body: Uint8Array;
}

function unpack(payload: string | Uint8Array): SignedBody {
  const whole = fromBase64(typeof payload === 'string' ? payload : Buffer.from(payload).toString('latin1'));
  const fields: Buffer[] = [];
  let rest = whole;
  while (whole !== undefined && rest !== undefined && fields.length < 4) {
    const at = rest.indexOf(separator);
    if (at === -1) break;
    fields.push(rest.subarray(0, at));
    rest = rest.subarray(at + separator.length);
  }
  const [signer, signature, type, encoding] = fields;
  const name = fromBase64(signer?.toString('latin1'));
  const bytes = fromBase64(signature?.toString('latin1'));
  if (name === undefined || bytes === undefined || type === undefined || encoding === undefined || rest === undefined) {
    throw new SecurityError(
      "The message is not signed: its body is not what the serializer 'auth' writes. Its sender needs taskSerializer 'auth' and app.setupSecurity().",
    );
  }
  return {
    signer: name.toString('utf8'),
    signature: bytes,
    contentType: type.toString('latin1'),
    contentEncoding: encoding.toString('latin1'),
    body: rest,
  };
}

/** Undefined: not base64 to the letter. Node would skip what it does not know, and a changed byte would stay unseen. */
function fromBase64(text: string | undefined): Buffer | undefined {
  if (text === undefined) return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}
