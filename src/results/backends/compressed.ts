/**
 * `resultCompression`: a stored document says of itself how it is compressed, since a key has no headers. The form is that
 * of Celery 5.7, `\0celery-compressed\0`, content type, `\0`, body; no serializer begins with that byte, so plain documents
 * stay readable, and compressed ones are read whatever the reader's own setting is.
 */
import { Buffer } from 'node:buffer';
import { DecodeError } from '../../core/errors.ts';
import type { Codec } from '../../message/index.ts';

const mark = Buffer.from('\0celery-compressed\0', 'latin1');

/** @throws {EncodeError} a compression that is unknown or not prepared. */
export function compressPayload(body: Uint8Array, compression: string, codec: Codec): Uint8Array {
  const compressed = codec.compress(body, compression);
  return Buffer.concat([mark, Buffer.from(`${compressed.contentType}\0`, 'latin1'), compressed.body]);
}

/** @throws {DecodeError} what is broken, unknown or too large. */
export function decompressPayload(document: Uint8Array, codec: Codec): Uint8Array {
  if (document[0] !== 0) return document;
  const payload = Buffer.from(document.buffer, document.byteOffset, document.byteLength);
  if (!payload.subarray(0, mark.length).equals(mark)) return document;
  const end = payload.indexOf(0, mark.length);
  if (end === -1) throw new DecodeError('A compressed result does not say how it is compressed.');
  return codec.decompress(payload.subarray(end + 1), payload.toString('latin1', mark.length, end));
}
