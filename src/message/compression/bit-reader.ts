/** Bits of a byte array, most significant first. Reading past the end is a RangeError. */
export class BitReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  #bits = 0;
  #count = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Up to 32 bits as an unsigned number. */
  read(count: number): number {
    if (count > 24) return this.read(count - 16) * 0x10000 + this.read(16);
    while (this.#count < count) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new RangeError('it ends too early');
      this.#bits = ((this.#bits << 8) | byte) & 0xffffffff;
      this.#count += 8;
    }
    this.#count -= count;
    return (this.#bits >>> this.#count) & (2 ** count - 1);
  }

  alignToByte(): void {
    this.#count -= this.#count % 8;
  }

  isAtEnd(): boolean {
    return this.#count < 8 && this.#at >= this.#bytes.length;
  }
}

/** The same the other way round. */
export class BitWriter {
  #bytes = new Uint8Array(4096);
  #length = 0;
  #bits = 0;
  #count = 0;

  /** Up to 32 bits. */
  write(value: number, count: number): void {
    if (count > 16) {
      this.write(Math.floor(value / 0x10000), count - 16);
      this.write(value & 0xffff, 16);
      return;
    }
    this.#bits = (this.#bits << count) | value;
    this.#count += count;
    while (this.#count >= 8) {
      this.#count -= 8;
      this.#push((this.#bits >>> this.#count) & 0xff);
      this.#bits &= (1 << this.#count) - 1;
    }
  }

  /** Fills the last byte with zeroes. */
  finish(): Uint8Array {
    if (this.#count > 0) this.write(0, 8 - this.#count);
    return this.#bytes.subarray(0, this.#length);
  }

  #push(byte: number): void {
    if (this.#length === this.#bytes.length) {
      const larger = new Uint8Array(this.#length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes[this.#length++] = byte;
  }
}
