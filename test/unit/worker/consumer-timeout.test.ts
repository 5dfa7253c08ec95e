import { describe, expect, it } from 'vitest';
import { Queue } from '../../../src/amqp/index.ts';
import { overdue } from '../../../src/worker/consumer-timeout.ts';

const parks = { taskDelayedDelivery: 'broker', taskMaxHeldDelay: 2 } as const;
const holds = { ...parks, taskDelayedDelivery: 'worker' } as const;
const aTask = (name: string, timeLimit?: number, acksLate = true) => ({ name, timeLimit, acksLate });
const aQueue = (ms?: number) =>
  new Queue('slow', ms === undefined ? {} : { queueArguments: { 'x-consumer-timeout': ms } });

describe("a queue's x-consumer-timeout", () => {
  it('may be passed by tasks that are acknowledged late and limited to more', () => {
    const tasks = [aTask('long', 61), aTask('exact', 60), aTask('early', 600, false), aTask('unlimited')];
    expect(overdue([aQueue(60_000)], tasks, parks)).toEqual([
      { queue: 'slow', consumerTimeoutSeconds: 60, tasks: ['long'], delays: false },
    ]);
  });

  it('may be passed by delays that wait in the worker', () => {
    const found = [{ queue: 'slow', consumerTimeoutSeconds: 60, tasks: [], delays: true }];
    expect(overdue([aQueue(60_000)], [], holds)).toEqual(found);
    expect(overdue([aQueue(60_000)], [], { ...parks, taskMaxHeldDelay: 61 })).toEqual(found);
  });

  it('is no reason to warn when all fits, nor is the lack of one', () => {
    expect(overdue([aQueue(60_000)], [aTask('short', 10)], parks)).toEqual([]);
    expect(overdue([aQueue()], [aTask('long', 9_999)], holds)).toEqual([]);
  });
});
