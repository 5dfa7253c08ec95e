import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfirmWindow } from '../../../src/amqp/confirm-window.ts';
import { DeadlineList, type WithDeadline } from '../../../src/amqp/deadline-list.ts';
import { Line } from '../../../src/amqp/line.ts';
import { isSameMessage } from '../../../src/amqp/same-message.ts';
import type { Envelope } from '../../../src/core/envelope.ts';
import { manualSystem } from '../../support/manual-system.ts';

describe('the window of unconfirmed messages', () => {
  it('settles each message once, by the tag it was sent under, whatever the broker says', () => {
    const word = fc.record({ tag: fc.nat(60), multiple: fc.boolean() });
    const step = fc.oneof(fc.constant('send' as const), word);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const window = new ConfirmWindow<number>();
        const open = new Set<number>();
        let sent = 0;
        for (const one of steps) {
          if (one === 'send') {
            sent += 1;
            open.add(sent);
            window.push(sent);
            continue;
          }
          const { tag, multiple } = one;
          const due = [...open].filter((other) => (tag === 0 ? multiple : multiple ? other <= tag : other === tag));
          const isUnknown = tag > sent; // a broker that confirms what was never sent is not believed
          const settled: number[] = [];
          if (tag === 0 && !multiple) continue;
          window.settle(tag, multiple, (item) => settled.push(item));
          expect(settled).toEqual(isUnknown ? [] : due);
          for (const item of settled) open.delete(item);
          expect(window.items()).toEqual([...open]);
          expect(window.size).toBe(open.size);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('does not grow with what has passed through', () => {
    const window = new ConfirmWindow<number>();
    let settled = 0;
    for (let tag = 1; tag <= 100_000; tag += 1) {
      window.push(tag);
      if (tag > 10) window.settle(tag - 10, false, (item) => expect(item).toBe(++settled));
    }
    expect(window.items()).toHaveLength(10);
    expect(JSON.stringify(window.find(() => true))).toBe('99991');
  });
});

describe('the waiting line', () => {
  it('serves in the order of coming, those put back first', () => {
    const step = fc.oneof(fc.constant('push' as const), fc.constant('shift' as const), fc.integer({ min: 0, max: 5 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const line = new Line<number>();
        let model: number[] = [];
        let next = 0;
        for (const one of steps) {
          if (one === 'push') {
            line.push(next);
            model.push(next);
            next += 1;
          } else if (one === 'shift') {
            expect(line.shift()).toBe(model.shift());
          } else {
            const back = Array.from({ length: one }, () => next++);
            line.unshift(back);
            model = [...back, ...model];
          }
          expect([line.length, line.first, line.isEmpty]).toEqual([model.length, model[0], model.length === 0]);
        }
        expect(line.takeAll()).toEqual(model);
        expect(line.isEmpty).toBe(true);
      }),
    );
  });

  it('keeps order over thousands', () => {
    const line = new Line<number>();
    const out: number[] = [];
    for (let item = 0; item < 10_000; item += 1) {
      line.push(item);
      if (item % 3 !== 0) out.push(line.shift() ?? -1);
    }
    out.push(...line.takeAll());
    expect(out).toEqual(Array.from({ length: 10_000 }, (_, index) => index));
  });
});

describe('deadlines', () => {
  class Item implements WithDeadline {
    readonly name: number;
    deadline = 0;
    earlier: WithDeadline | undefined;
    later: WithDeadline | undefined;

    constructor(name: number) {
      this.name = name;
    }
  }

  it('pass one after another, for those still there, with one timer for all', async () => {
    const system = manualSystem();
    const late: number[] = [];
    const list = new DeadlineList<Item>(1000, system, ({ name }) => late.push(name));
    const items = Array.from({ length: 10 }, (_, name) => new Item(name));
    for (const item of items) {
      list.add(item);
      await system.advance(100);
    }
    expect(system.timers).toBe(1);
    expect(late).toEqual([0]); // added 1,000 ms ago
    for (const gone of [1, 2, 9, 5]) list.delete(items[gone] as Item);
    await system.advance(350);
    expect(late).toEqual([0, 3]);
    await system.advance(5_000);
    expect(late).toEqual([0, 3, 4, 6, 7, 8]);
    expect(system.timers).toBe(0);
    list.add(new Item(10));
    list.close();
    expect(system.timers).toBe(0);
  });
});

describe('a message that came back', () => {
  const envelope: Envelope = {
    properties: { correlationId: 'c', contentType: 'text/plain' },
    headers: {
      n: 5,
      big: 2n ** 40n,
      half: 0.5,
      list: [null, undefined, { a: true }],
      at: new Date(1_500),
      bytes: new Uint8Array([1, 2]),
      absent: undefined,
    },
    body: Buffer.from('body'),
  };
  const publication = { envelope, exchange: 'e', routingKey: 'k', confirm: true, mandatory: true };
  const received = {
    n: 5,
    big: 2 ** 40,
    half: 0.5,
    list: [null, null, { a: true }],
    at: { '!': 'timestamp', value: 1 },
    bytes: Buffer.from([1, 2]),
  };

  function returned(change: {
    headers?: object;
    content?: string;
    routingKey?: string;
    correlationId?: string;
  }): never {
    return {
      fields: { exchange: 'e', routingKey: change.routingKey ?? 'k' },
      properties: { correlationId: change.correlationId ?? 'c', headers: { ...received, ...change.headers } },
      content: Buffer.from(change.content ?? 'body'),
    } as never;
  }

  it('is known by all it carries, as the wire turned it', () => {
    expect(isSameMessage(publication, returned({}))).toBe(true);
  });

  it.each([
    { content: 'BODY' },
    { routingKey: 'other' },
    { correlationId: 'other' },
    { headers: { n: 6 } },
    { headers: { big: 2 ** 41 } },
    { headers: { list: [null, null] } },
    { headers: { at: { '!': 'timestamp', value: 2 } } },
    { headers: { bytes: Buffer.from([1, 3]) } },
    { headers: { more: 1 } },
  ])('is another when it has %j', (change) => {
    expect(isSameMessage(publication, returned(change))).toBe(false);
  });
});
