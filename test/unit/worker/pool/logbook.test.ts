import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Logbook, LogbookWriter } from '../../../../src/worker/pool/prefork/logbook.ts';

function opened(): { book: Logbook; writer: LogbookWriter; [Symbol.dispose](): void } {
  const book = Logbook.open();
  if (book === undefined) throw new Error('no logbook here');
  return { book, writer: new LogbookWriter(book.fd), [Symbol.dispose]: () => book.close() };
}

describe('the book of what a child has done', () => {
  it('is read in the order it was written, each entry once', () => {
    using world = opened();
    const { book, writer } = world;
    expect(book.read()).toEqual([]);
    expect(writer.write(['done', 1])).toBe(true);
    expect(writer.write(['done', 2, 'ä€😀'])).toBe(true);
    expect(book.read()).toEqual([
      ['done', 1],
      ['done', 2, 'ä€😀'],
    ]);
    expect(book.read()).toEqual([]);
    writer.write(['done', 3]);
    expect(book.read()).toEqual([['done', 3]]);
  });

  it('takes more than is read at once, and entries larger than that', () => {
    using world = opened();
    const entries = Array.from({ length: 50 }, (_, index) => ['done', index, 'x'.repeat(index * 2_000)]);
    for (const entry of [...entries, ['done', 50, 'y'.repeat(300_000)]]) world.writer.write(entry);
    const read = world.book.read();
    expect(read).toHaveLength(51);
    expect(read.slice(0, 50)).toEqual(entries);
  });

  it('keeps an entry that is not whole yet for the next time', () => {
    using world = opened();
    const { book, writer } = world;
    writer.write(['done', 1]);
    const text = JSON.stringify(['done', 2]);
    const bytes = Buffer.alloc(4 + text.length);
    bytes.writeUInt32LE(text.length);
    bytes.write(text, 4);
    const at = fstatSync(book.fd).size;
    writeSync(book.fd, bytes, 0, 7, at);
    expect(book.read()).toEqual([['done', 1]]);
    writeSync(book.fd, bytes, 7, bytes.length - 7, at + 7);
    expect(book.read()).toEqual([['done', 2]]);
  });

  it('does not take what is too large, nor anything when the disk is full', () => {
    using world = opened();
    expect(world.writer.write(['done', 1, 'x'.repeat(2 * 1024 * 1024)])).toBe(false);
    expect(world.writer.write(['done', 2])).toBe(true);
    if (process.platform !== 'linux') return;
    const full = openSync('/dev/full', 'w');
    try {
      const writer = new LogbookWriter(full);
      expect([writer.write(['done', 1]), writer.write(['done', 2])]).toEqual([false, false]);
    } finally {
      closeSync(full);
    }
  });

  it('does not fill the disk: what was read is given back', () => {
    using world = opened();
    const { book, writer } = world;
    const entry = ['done', 1, 'x'.repeat(500_000)];
    for (let count = 0; book.hasRoom; count += 1) {
      writer.write(entry);
      expect(book.read()).toHaveLength(1);
      expect(count).toBeLessThan(20);
    }
    book.tidy();
    expect(fstatSync(book.fd).blocks).toBe(0);
    expect(book.hasRoom).toBe(true);
    writer.write(['done', 2]);
    expect(book.read()).toEqual([['done', 2]]);
  });
});
