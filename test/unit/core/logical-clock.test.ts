/** Lamport's clock, by the rules of celery-protocol.md section 1. */
import { describe, expect, it } from 'vitest';
import { LogicalClock } from '../../../src/core/logical-clock.ts';

describe('the logical clock', () => {
  it('starts at 0 and goes one further before each message', () => {
    const clock = new LogicalClock();
    expect(clock.value).toBe(0);
    expect([clock.forward(), clock.forward()]).toEqual([1, 2]);
  });

  it('goes beyond both sides when a message comes', () => {
    const clock = new LogicalClock(5);
    expect(clock.adjust(3)).toBe(6);
    expect(clock.adjust(40)).toBe(41);
    expect(clock.value).toBe(41);
  });

  it.each([undefined, null, 'soon', Number.NaN, Infinity, -7, 2 ** 53, {}])('believes no clock of %s', (theirs) => {
    const clock = new LogicalClock(5);
    expect(clock.adjust(theirs)).toBe(6);
  });
});
