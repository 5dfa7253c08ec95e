import { describe, expect, it } from 'vitest';
import { Deque } from '../../../src/broker/deque.ts';

const at = (...positions: number[]) => positions.map((position) => ({ position }));
const positions = (deque: Deque<{ position: number }>) => [...deque].map(({ position }) => position);

function aDeque(...given: number[]): Deque<{ position: number }> {
  const deque = new Deque<{ position: number }>();
  for (const item of at(...given)) deque.push(item);
  return deque;
}

describe('Deque', () => {
  it('gives back in the order it was given', () => {
    const deque = new Deque<{ position: number }>();
    const given = Array.from({ length: 1000 }, (_, i) => i);
    for (const item of at(...given)) deque.push(item);
    const taken: number[] = [];
    for (let item = deque.shift(); item !== undefined; item = deque.shift()) taken.push(item.position);
    expect(taken).toEqual(given);
    expect(deque.size).toBe(0);
  });

  it('merges returned items to where they stood', () => {
    const deque = aDeque(4, 6, 8, 9);
    deque.merge(at(1, 2, 5, 7));
    expect(positions(deque)).toEqual([1, 2, 4, 5, 6, 7, 8, 9]);
  });

  it('merges behind everything and into nothing', () => {
    const deque = aDeque(1, 2);
    deque.merge(at(3, 4));
    expect(positions(deque)).toEqual([1, 2, 3, 4]);
    const empty = aDeque();
    empty.merge(at(1, 5));
    expect(positions(empty)).toEqual([1, 5]);
    empty.merge([]);
    expect(empty.size).toBe(2);
  });

  it('keeps its order while it grows and shrinks in turns', () => {
    const deque = new Deque<{ position: number }>();
    let next = 0;
    let expected = 0;
    for (const [pushes, shifts] of [
      [5, 3],
      [500, 200],
      [3000, 3200],
      [10, 112],
    ] as const) {
      for (let i = 0; i < pushes; i += 1) deque.push({ position: next++ });
      for (let i = 0; i < shifts; i += 1) expect(deque.shift()?.position).toBe(expected++);
    }
    expect(deque.size).toBe(next - expected);
  });
});
