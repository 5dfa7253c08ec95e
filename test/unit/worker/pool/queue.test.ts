import { describe, expect, it } from 'vitest';
import { Queue } from '../../../../src/worker/pool/queue.ts';

describe('the queue of waiting jobs', () => {
  it('gives them out in the order they came, however many', () => {
    const queue = new Queue<number>();
    for (let round = 0; round < 3; round += 1) {
      for (let item = 0; item < 3000; item += 1) queue.push(item);
      expect(queue.length).toBe(3000);
      expect(queue.peek()).toBe(0);
      expect(Array.from({ length: 3000 }, () => queue.shift())).toEqual(
        Array.from({ length: 3000 }, (_, item) => item),
      );
      expect([queue.shift(), queue.peek(), queue.length]).toEqual([undefined, undefined, 0]);
    }
  });

  it('takes items back in front, in their order', () => {
    const queue = new Queue<string>();
    for (const item of 'abc') queue.push(item);
    queue.shift();
    queue.putBack(['x', 'y']);
    queue.putBack([]);
    expect([queue.shift(), queue.shift(), queue.shift(), queue.shift(), queue.length]).toEqual(['x', 'y', 'b', 'c', 0]);
  });

  it('lets go of what matches and keeps the rest in order', () => {
    const queue = new Queue<number>();
    for (let item = 0; item < 6; item += 1) queue.push(item);
    queue.shift();
    expect(queue.take((item) => item % 2 === 1)).toEqual([1, 3, 5]);
    expect(queue.take((item) => item > 100)).toEqual([]);
    expect([queue.shift(), queue.shift(), queue.shift()]).toEqual([2, 4, undefined]);
  });
});
