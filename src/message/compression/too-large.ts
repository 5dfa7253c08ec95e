import { DecodeError } from '../../core/errors.ts';

/** What every compression throws when a body grows beyond the limit. */
export function tooLarge(maxBytes: number): DecodeError {
  return new DecodeError(`The body decompresses to more than ${maxBytes} bytes (workerMaxDecompressedBytes).`);
}
