/** Bytes into text by `content_encoding`, refusing what is not in that charset. */
import { Buffer, isAscii, isUtf8 } from 'node:buffer';
import { TextDecoder } from 'node:util';
import { DecodeError } from '../../core/errors.ts';

/** @throws {DecodeError} bytes that are not in the charset, or a charset nobody knows. */
export function decodeText(body: Uint8Array, charset: string): string {
  const buffer = Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  switch (charset) {
    case 'utf-8':
    case 'utf8':
    case 'binary': // what some peers call the encoding of their JSON: Python then reads UTF-8
    case 'ascii-8bit':
      if (!isUtf8(buffer)) throw new DecodeError('The body is not UTF-8, although its content_encoding says so.');
      return buffer.toString('utf8');
    case 'us-ascii':
    case 'ascii':
      if (!isAscii(buffer)) throw new DecodeError('The body is not ASCII, although its content_encoding says so.');
      return buffer.toString('latin1');
    case 'latin-1':
    case 'latin1':
    case 'iso-8859-1':
      return buffer.toString('latin1');
    default:
      return decodeOther(buffer, charset);
  }
}

/** Does this `content_encoding` say that the body is bytes and not text? */
export function isBinaryEncoding(contentEncoding: string): boolean {
  return contentEncoding === 'binary' || contentEncoding === 'ascii-8bit';
}

function decodeOther(buffer: Buffer, charset: string): string {
  let decoder: TextDecoder;
  try {
    decoder = new TextDecoder(charset, { fatal: true, ignoreBOM: true });
  } catch {
    throw new DecodeError(`The content_encoding '${charset.slice(0, 40)}' is not a known charset.`);
  }
  try {
    return decoder.decode(buffer);
  } catch (error) {
    throw new DecodeError(`The body is not ${charset}, although its content_encoding says so.`, { cause: error });
  }
}
