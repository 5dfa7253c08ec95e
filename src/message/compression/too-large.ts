/** The one way in which every compression refuses a body that grows beyond the limit. */
import { DecodeError } from '../../core/errors.ts';

export function tooLarge(maxBytes: number): DecodeError {
  return new DecodeError(`The body decompresses to more than ${maxBytes} bytes (workerMaxDecompressedBytes).`);
}
