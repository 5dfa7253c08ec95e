import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Confirms } from '../../../src/broker/confirms.ts';

type Said = readonly ['ack' | 'nack', number, boolean];

function flushed(confirms: Confirms): Said[] {
  const said: Said[] = [];
  confirms.flush((kind, tag, multiple) => said.push([kind, tag, multiple]));
  return said;
}

describe('Confirms', () => {
  it('of one turn are one frame', () => {
    const confirms = new Confirms();
    for (let i = 0; i < 5; i += 1) confirms.decide(confirms.next(), 'ack');
    expect(flushed(confirms)).toEqual([['ack', 5, true]]);
    confirms.decide(confirms.next(), 'ack');
    expect(flushed(confirms)).toEqual([['ack', 6, false]]);
    expect(flushed(confirms)).toEqual([]);
  });

  it('never cover what is open', () => {
    const confirms = new Confirms();
    for (let i = 0; i < 5; i += 1) confirms.next();
    for (const tag of [1, 2, 4]) confirms.decide(tag, 'ack');
    expect(flushed(confirms)).toEqual([
      ['ack', 2, true],
      ['ack', 4, false],
    ]);
    confirms.decide(3, 'ack');
    expect(flushed(confirms)).toEqual([['ack', 3, false]]);
  });

  it('say what was refused before anything that covers it', () => {
    const confirms = new Confirms();
    for (let i = 0; i < 3; i += 1) confirms.next();
    confirms.decide(1, 'ack');
    confirms.decide(2, 'nack');
    confirms.decide(3, 'ack');
    expect(flushed(confirms)).toEqual([
      ['nack', 2, false],
      ['ack', 3, true],
    ]);
  });

  it('reach a client that counts exactly once each, whatever is decided when', () => {
    const steps = fc.array(fc.oneof(fc.constant('publish'), fc.constant('flush'), fc.nat()), { maxLength: 80 });
    fc.assert(
      fc.property(steps, (given) => {
        const confirms = new Confirms();
        const open = new Set<number>();
        const decided = new Map<number, string>();
        const waiting = new Set<number>();
        const heard = new Map<number, string>();
        const hear = (): void => {
          for (const [kind, tag, multiple] of flushed(confirms)) {
            for (const each of multiple ? [...waiting].filter((other) => other <= tag) : [tag]) {
              expect(waiting.delete(each) || multiple).toBe(true);
              heard.set(each, kind);
            }
          }
        };
        for (const step of given) {
          if (step === 'publish') {
            const tag = confirms.next();
            open.add(tag);
            waiting.add(tag);
          } else if (step === 'flush') hear();
          else {
            const tag = [...open][Number(step) % Math.max(open.size, 1)];
            if (tag === undefined) continue;
            open.delete(tag);
            const kind = Number(step) % 5 === 0 ? 'nack' : 'ack';
            decided.set(tag, kind);
            confirms.decide(tag, kind);
          }
        }
        hear();
        expect(heard).toEqual(
          new Map([...decided].sort(([a], [b]) => a - b).filter(([tag]) => heard.has(tag)) as never),
        );
        expect(heard.size).toBe(decided.size);
      }),
    );
  });
});
