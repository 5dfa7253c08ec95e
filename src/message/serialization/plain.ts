/** Bodies that are nothing but text or bytes: kombu's `text/plain` and `application/data` (which it calls `raw`). */
import { EncodeError } from '../../core/errors.ts';
import type { Serializer } from './serializer.ts';

export const textSerializer: Serializer = {
  name: 'text',
  contentType: 'text/plain',
  contentEncoding: 'utf-8',
  encode(value) {
    if (typeof value !== 'string') throw new EncodeError("The serializer 'text' takes a string only; use json.");
    return value;
  },
  decode: (payload) => payload,
};

export const bytesSerializer: Serializer = {
  name: 'raw',
  contentType: 'application/data',
  contentEncoding: 'binary',
  encode(value) {
    if (typeof value === 'string' || value instanceof Uint8Array) return value;
    throw new EncodeError("The serializer 'raw' takes a string or a Uint8Array only; use json.");
  },
  decode: (payload) => payload,
};
