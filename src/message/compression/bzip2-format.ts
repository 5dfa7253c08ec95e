/** What the two halves of bzip2 share. */

export const blockMagic = 0x314159265359;
export const endMagic = 0x177245385090;

const table = crcTable();

/** One byte into bzip2's CRC-32 (most significant bit first). Starts at 0xffffffff, is inverted at the end. */
export function addToCrc(crc: number, byte: number): number {
  return (crc << 8) ^ (table[((crc >>> 24) ^ byte) & 0xff] ?? 0);
}

function crcTable(): Int32Array {
  const entries = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
    entries[byte] = crc;
  }
  return entries;
}

/** An element that is known to be there. */
export function get(list: ArrayLike<number>, at: number): number {
  return list[at] ?? 0;
}
