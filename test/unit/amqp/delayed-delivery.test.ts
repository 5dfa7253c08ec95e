import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  delayExchange,
  delayKey,
  delayLevels,
  delayTarget,
  longestDelaySeconds,
  reachable,
} from '../../../src/amqp/delayed-delivery.ts';
import { Exchange, Queue } from '../../../src/amqp/topology.ts';

describe('a delayed routing key', () => {
  it('has the delay in 28 bits, then the target', () => {
    expect(delayKey(5, { exchange: 'tasks', routingKey: 'task.add' })).toEqual({
      routingKey: `${'0.'.repeat(25)}1.0.1.x.tasks.task.add`,
      cc: ['task.add'],
    });
    expect(delayKey(1, { exchange: '', routingKey: 'celery' })).toEqual({
      routingKey: `${'0.'.repeat(27)}1.q.celery`,
      cc: [],
    });
  });

  it('is absent when it would be too long for AMQP', () => {
    expect(delayKey(1, { exchange: '', routingKey: 'q'.repeat(250) })).toBeUndefined();
  });

  it('gives the target back, whatever its name', () => {
    const name = fc.string({ minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: longestDelaySeconds }),
        fc.option(name, { nil: '' }),
        name,
        (seconds, exchange, routingKey) => {
          const key = delayKey(seconds, { exchange, routingKey });
          if (key !== undefined) expect(delayTarget(delayExchange, key.routingKey)).toEqual({ exchange, routingKey });
        },
      ),
    );
  });

  it('is not seen in messages that were not delayed', () => {
    expect(delayTarget('', 'celery')).toBeUndefined();
    expect(delayTarget('celery-ts.delay', 'celery')).toBeUndefined();
  });
});

describe('the delay levels', () => {
  it('keep a message for every bit that is set, and pass it on for the others', () => {
    const queues = delayLevels('classic');
    expect(queues).toHaveLength(28);
    expect(queues.map(({ queueArguments }) => queueArguments['x-message-ttl'])).toEqual(
      queues.map((_, index) => 2 ** (27 - index) * 1000),
    );
    expect(queues[0]).toMatchObject({ name: delayExchange, routingKey: '1.#' });
    expect(queues[27]).toMatchObject({ name: 'celery-ts.delay.0', routingKey: `${'*.'.repeat(27)}1.#` });
    expect(queues[27]?.deadLetterExchange).toMatchObject({
      name: 'celery-ts.delay',
      bindings: [{ exchange: { name: 'celery-ts.delay.0' }, routingKey: `${'*.'.repeat(27)}0.#` }],
    });
  });

  it('reach a queue by its name through the default exchange, and through its exchange otherwise', () => {
    const plain = reachable(new Queue('lo.pri'), { exchange: '', routingKey: 'lo.pri' });
    expect(plain.bindings.map(({ exchange, routingKey }) => [exchange.name, routingKey])).toEqual([
      ['lo.pri', 'lo.pri'],
      ['celery-ts.delay', `${'*.'.repeat(28)}q.lo%2Epri`],
    ]);
    const topic = new Queue('add', { exchange: new Exchange('tasks', { type: 'topic' }), routingKey: 'task.add.#' });
    const bound = reachable(topic, { exchange: 'tasks', routingKey: 'task.add.now' });
    expect(bound.bindings.map(({ exchange, routingKey }) => [exchange.name, routingKey])).toEqual([
      ['tasks', 'task.add.#'],
    ]);
    expect(bound.exchange.bindings.map(({ exchange, routingKey }) => [exchange.name, routingKey])).toEqual([
      ['celery-ts.delay', `${'*.'.repeat(28)}x.tasks.#`],
    ]);
  });
});
