import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AckLedger, type LedgerEntry } from '../../../src/amqp/ack-ledger.ts';

/** The broker's side of a channel: what it believes to be unsettled, and what becomes of each message. */
class BrokerModel {
  readonly unsettled = new Set<number>();
  readonly acked = new Set<number>();
  readonly rejected = new Set<number>();
  frames = 0;

  write(): void {
    // what was given has arrived
  }

  deliver(tag: number): void {
    this.unsettled.add(tag);
  }

  ack(tag: number, multiple: boolean): void {
    this.frames += 1;
    const covered = multiple ? [...this.unsettled].filter((other) => other <= tag) : [tag];
    if (covered.length === 0 || !this.unsettled.has(tag)) throw new Error(`406 unknown delivery tag ${tag}`);
    for (const one of covered) {
      this.unsettled.delete(one);
      this.acked.add(one);
    }
  }

  reject(tag: number): void {
    this.frames += 1;
    if (!this.unsettled.delete(tag)) throw new Error(`406 unknown delivery tag ${tag}`);
    this.rejected.add(tag);
  }
}

/** `turn`: the present turn of the loop ends; `pass`: so much time passes, and timers run. */
function open(mostHeld = 64) {
  const broker = new BrokerModel();
  const due: (() => void)[] = [];
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();
  let now = 0;
  const ledger = new AckLedger(broker, {
    soon: (run) => void due.push(run),
    after: (ms, run) => {
      const timer = { at: now + ms, run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    monotonic: () => now,
    mostHeld: () => mostHeld,
  });
  const turn = (): void => {
    for (const run of due.splice(0)) run();
  };
  const pass = (ms: number): void => {
    now += ms;
    for (const timer of [...timers]) {
      if (timer.at > now) continue;
      timers.delete(timer);
      timer.run();
    }
  };
  const deliver = (count: number): LedgerEntry[] =>
    Array.from({ length: count }, (_, index) => {
      broker.deliver(index + 1);
      return ledger.add(index + 1);
    });
  /** One turn of the loop for each. */
  const ackApart = (entries: readonly LedgerEntry[]): void => {
    for (const entry of entries) {
      ledger.ack(entry);
      turn();
    }
  };
  return { broker, ledger, turn, pass, deliver, ackApart };
}

type Step =
  | { readonly kind: 'deliver' | 'turn' | 'pass' | 'flush' }
  | { readonly kind: 'ack' | 'reject'; readonly which: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('deliver' as const) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('ack' as const), which: fc.nat(40) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reject' as const), which: fc.nat(40) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('turn' as const, 'pass' as const, 'flush' as const) }) },
);

describe('the ledger of a channel', () => {
  it('never settles what nobody settled, nor anything twice, nor an ack as a reject', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const { broker, ledger, turn, pass } = open(3);
        const entries: LedgerEntry[] = [];
        const acked = new Set<number>();
        const rejected = new Set<number>();
        for (const now of steps) {
          if (now.kind === 'deliver') {
            broker.deliver(entries.length + 1);
            entries.push(ledger.add(entries.length + 1));
          } else if (now.kind === 'turn') turn();
          else if (now.kind === 'pass') pass(5);
          else if (!('which' in now)) ledger.flush();
          else {
            const entry = entries[now.which % Math.max(entries.length, 1)];
            if (entry === undefined) continue;
            if (now.kind === 'ack' && ledger.ack(entry)) acked.add(entry.tag);
            if (now.kind === 'reject' && ledger.reject(entry, true)) rejected.add(entry.tag);
          }
          for (const tag of broker.acked) expect(acked.has(tag)).toBe(true);
          expect(broker.rejected).toEqual(rejected);
        }
        turn();
        pass(5);
        pass(5);
        expect(broker.acked).toEqual(acked);
        expect(broker.unsettled.size).toBe(ledger.size);
        expect(ledger.size).toBe(entries.length - acked.size - rejected.size);
      }),
      { numRuns: 500 },
    );
  });

  it('sends one frame for a turn of acknowledgements in order', () => {
    const { broker, ledger, turn } = open();
    const entries = Array.from({ length: 256 }, (_, index) => {
      broker.deliver(index + 1);
      return ledger.add(index + 1);
    });
    for (const entry of entries.slice(0, 200)) ledger.ack(entry);
    expect(broker.frames).toBe(0);
    turn();
    expect(broker.frames).toBe(1);
    expect(broker.acked.size).toBe(200);
  });

  it('sends what lies above an unsettled delivery one by one', () => {
    const { broker, ledger, turn, pass, deliver } = open();
    const [, held, third, fourth] = deliver(4);
    for (const entry of [fourth, third]) if (entry !== undefined) ledger.ack(entry);
    turn();
    expect(broker.acked.size).toBe(0); // what lies below may be settled any moment
    pass(5);
    expect([...broker.acked].sort()).toEqual([3, 4]);
    expect(held?.isSettled).toBe(false);
    expect(broker.unsettled).toEqual(new Set([1, 2]));
  });

  it('covers what lay above an unsettled delivery when that is settled by the next batch', () => {
    const { broker, turn, pass, deliver, ackApart } = open();
    const entries = deliver(6);
    ackApart(entries.slice(1, 5));
    ackApart(entries.slice(0, 1));
    turn();
    pass(5);
    expect(broker.frames).toBe(1);
    expect(broker.unsettled).toEqual(new Set([6]));
  });

  it('sends the first at once, and under load a batch every 5 ms', () => {
    const { broker, pass, deliver, ackApart } = open();
    const entries = deliver(20);
    ackApart(entries.slice(0, 1));
    expect(broker.acked.size).toBe(1);
    ackApart(entries.slice(1, 8));
    expect(broker.frames).toBe(1);
    pass(5);
    expect(broker.frames).toBe(2);
    expect(broker.acked.size).toBe(8);
  });

  it('holds no more than a part of the prefetch', () => {
    const { broker, deliver, ackApart } = open(2);
    const entries = deliver(10);
    ackApart(entries.slice(0, 3));
    expect(broker.acked.size).toBe(1);
    ackApart(entries.slice(3, 4));
    expect(broker.acked.size).toBe(4);
  });

  it('holds nothing when told to flush, and nothing when the last one is settled', () => {
    const { broker, ledger, deliver, ackApart } = open();
    const entries = deliver(10);
    ackApart(entries.slice(0, 6));
    expect(broker.acked.size).toBe(1);
    ledger.flush();
    expect(broker.acked.size).toBe(6);
    ackApart(entries.slice(6));
    expect(broker.unsettled.size).toBe(0);
  });

  it('never merges over a tag it was not told of', () => {
    const { broker, ledger, turn, pass } = open();
    for (const tag of [1, 2, 3]) broker.deliver(tag);
    const first = ledger.add(1);
    const third = ledger.add(3);
    ledger.ack(first);
    ledger.ack(third);
    turn();
    pass(5);
    expect(broker.unsettled).toEqual(new Set([2]));
    expect(ledger.size).toBe(0);
  });

  it('sends nothing once its channel is gone', () => {
    const { broker, ledger, turn } = open();
    const [first, second] = [1, 2].map((tag) => {
      broker.deliver(tag);
      return ledger.add(tag);
    });
    if (first !== undefined) ledger.ack(first);
    ledger.end();
    turn();
    expect(second !== undefined && ledger.ack(second)).toBe(false);
    expect(second !== undefined && ledger.reject(second, false)).toBe(false);
    expect(broker.frames).toBe(0);
  });
});
