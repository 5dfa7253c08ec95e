/** Elections among workers: exactly one wins, whatever order the news comes in. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bid, Elections, nodeOf } from '../../../src/worker/consumer/elections.ts';

function aBid(hostname: string, clock: number): Bid {
  return { hostname, clock, pid: 7, topic: 'task', action: hostname };
}

/** The winner, as soon as all have bid and answered. */
function decide(elections: Elections, id: string, alive: readonly string[]): Bid | undefined {
  return elections.isComplete(id, alive, 0) ? elections.close(id, 0) : undefined;
}

describe('an election', () => {
  it('is won by the lowest clock, and by the lower name when clocks are the same', () => {
    for (const [clocks, winner] of [
      [{ a: 9, b: 3, c: 5 }, 'b'],
      [{ c: 3, b: 3, a: 4 }, 'b'],
    ] as const) {
      const elections = new Elections();
      elections.enter('x', 0);
      for (const [hostname, clock] of Object.entries(clocks)) {
        elections.bid('x', aBid(hostname, clock), 0);
        elections.acknowledge('x', hostname, 0);
      }
      expect(decide(elections, 'x', Object.keys(clocks))?.hostname).toBe(winner);
    }
  });

  it('is decided when all that are alive have bid and answered, and only once', () => {
    const elections = new Elections();
    expect(elections.enter('x', 0)).toBe(true);
    elections.bid('x', aBid('a', 1), 0);
    elections.acknowledge('x', 'a', 0);
    elections.acknowledge('x', 'b', 0);
    expect(decide(elections, 'x', ['a', 'b'])).toBeUndefined();
    elections.bid('x', aBid('b', 2), 0);
    expect(decide(elections, 'x', ['a', 'b'])?.hostname).toBe('a');
    expect(decide(elections, 'x', ['a', 'b'])).toBeUndefined();
    expect(elections.close('x', 1)).toBeUndefined();
    expect(elections.enter('x', 1)).toBe(false);
  });

  it('may be held again under the same name half a minute later', () => {
    const elections = new Elections();
    elections.enter('x', 0);
    elections.bid('x', aBid('a', 1), 0);
    expect(elections.close('x', 5_000)?.hostname).toBe('a');
    expect(elections.enter('x', 29_000)).toBe(false);
    expect(elections.enter('x', 30_000)).toBe(true);
    expect(elections.close('x', 30_001)).toBeUndefined(); // the old bids are forgotten
  });

  it("is nobody's business who takes no part", () => {
    const elections = new Elections();
    elections.bid('x', aBid('b', 1), 0);
    elections.acknowledge('x', 'b', 0);
    expect(decide(elections, 'x', ['b'])).toBeUndefined();
    expect(elections.answer('x', ['b'], 0)).toBe(false);
  });

  it('is answered once, when all that are alive have bid', () => {
    const elections = new Elections();
    elections.bid('x', aBid('a', 1), 0);
    elections.enter('x', 0);
    expect(elections.answer('x', ['a', 'b'], 0)).toBe(false);
    elections.bid('x', aBid('b', 2), 0);
    expect(elections.answer('x', ['a', 'b'], 0)).toBe(true);
    expect(elections.answer('x', ['a', 'b'], 0)).toBe(false);
  });

  it('ends after its time with those that have bid', () => {
    const elections = new Elections();
    elections.enter('x', 0);
    elections.bid('x', aBid('b', 4), 0);
    elections.bid('x', aBid('a', 5), 0);
    expect(elections.close('x', 5_000)?.hostname).toBe('b');
  });

  it('has one winner on which all agree, in whatever order each hears the news', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 5 }),
        fc.infiniteStream(fc.nat()),
        (clocks, chance) => {
          const bids = clocks.map((clock, at) => aBid(`w${at}`, clock));
          const alive = bids.map(({ hostname }) => hostname);
          const winners = bids.map(() => {
            const elections = new Elections();
            elections.enter('x', 0);
            const news = bids.flatMap((bid) => [
              () => elections.bid('x', bid, 0),
              ...alive.map(() => () => elections.acknowledge('x', bid.hostname, 0)),
            ]);
            const order = news.map((tell) => ({ tell, key: chance.next().value })).sort((a, b) => a.key - b.key);
            const found = order.flatMap(({ tell }) => {
              tell();
              const winner = decide(elections, 'x', alive);
              return winner === undefined ? [] : [nodeOf(winner)];
            });
            expect(found).toHaveLength(1);
            return found[0];
          });
          expect(new Set(winners).size).toBe(1);
        },
      ),
    );
  });

  it('does not grow without end', () => {
    const elections = new Elections();
    for (let n = 0; n < 3_000; n += 1) elections.bid(`id ${n}`, aBid('a', 1), 0);
    for (let n = 0; n < 6_000; n += 1) {
      elections.bid('last', aBid(`host${n}`, n), 0);
      elections.acknowledge('last', `host${n}`, 0);
    }
    elections.enter('last', 0);
    expect(decide(elections, 'last', ['host4999'])?.hostname).toBe('host0');
    elections.enter('other', 0);
    expect(decide(elections, 'last', ['host5999'])).toBeUndefined();
  });
});
