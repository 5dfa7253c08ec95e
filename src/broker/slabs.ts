/**
 * Room for small messages, many to a buffer. A `Buffer` of its own costs a message some 110 bytes of heap; a slab and two
 * numbers cost 24. A slab lives as long as one message in it does, so it is small.
 */
import { Buffer } from 'node:buffer';

const slabBytes = 16 * 1024;
/** Larger messages get a buffer of their own: little is saved, and much might be kept alive. */
const smallBytes = 2 * 1024;

export class Slabs {
  #slab = Buffer.allocUnsafeSlow(slabBytes);
  #used = 0;

  /** Where `size` bytes may be written; nobody else will. */
  take(size: number): { readonly slab: Buffer; readonly start: number } {
    if (size > smallBytes) return { slab: Buffer.allocUnsafeSlow(size), start: 0 };
    if (this.#used + size > slabBytes) {
      this.#slab = Buffer.allocUnsafeSlow(slabBytes);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += size;
    return { slab: this.#slab, start };
  }
}
