/** Whose turn it is among several brokers. */
import { describe, expect, it } from 'vitest';
import { BrokerList, type Failover } from '../../../src/amqp/broker-list.ts';
import { ImproperlyConfigured } from '../../../src/core/errors.ts';

const urls = ['amqp://a', 'amqp://b', 'amqp://c'];

/** The hosts in the order they are tried. */
function order(failover: Failover, turns: number, chances: readonly number[] = []): string {
  let asked = 0;
  const list = new BrokerList(urls, failover, { random: () => chances[asked++] ?? 0 });
  const hosts = [list.next.hostname];
  for (let turn = 1; turn < turns; turn += 1) {
    list.turn();
    hosts.push(list.next.hostname);
  }
  return hosts.join('');
}

describe('brokers', () => {
  it('are tried as given, again and again, with round-robin', () => {
    expect(order('round-robin', 5)).toBe('abcab');
    expect(new BrokerList('amqp://a; amqp://b', 'round-robin', { random: () => 0 }).all).toHaveLength(2);
  });

  it('are tried in an order of chance with shuffle', () => {
    expect(order('shuffle', 4, [0.9, 0.5, 0.1])).toBe('cbac');
  });

  it('are tried as a function of the user picks them', () => {
    const seen: (readonly string[])[] = [];
    const backwards: Failover = function* (given) {
      seen.push(given);
      for (;;) yield* [...given].reverse();
    };
    expect(order(backwards, 4)).toBe('cbac');
    expect(seen).toEqual([urls]);
  });

  it('go on in their order where that function ends, throws or picks another address', () => {
    expect(order((given) => [given[1] ?? ''].values(), 3)).toBe('bca');
    const failing: Failover = function* (given) {
      yield given[2] ?? '';
      throw new Error('no more');
    };
    expect(order(failing, 3)).toBe('cab');
    expect(() => order(() => ['amqp://elsewhere'].values(), 1)).toThrow(ImproperlyConfigured);
  });
});
