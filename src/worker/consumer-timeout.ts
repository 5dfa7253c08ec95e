/**
 * What may hold a message longer than the broker waits for its acknowledgement. RabbitMQ tells a client nothing of its
 * `consumer_timeout`; what can be read is a queue's own `x-consumer-timeout`. Pure.
 */
import type { Queue } from '../amqp/index.ts';
import type { Config } from '../app/index.ts';

/** A consumed queue whose limit may be passed, and by what. */
export interface Overdue {
  readonly queue: string;
  readonly consumerTimeoutSeconds: number;
  /** Acknowledged late, with a time limit beyond it. */
  readonly tasks: readonly string[];
  /** Delays wait in the worker, and may be longer. */
  readonly delays: boolean;
}

interface TaskLimits {
  readonly name: string;
  readonly acksLate: boolean;
  readonly timeLimit: number | undefined;
}

export function overdue(
  queues: readonly Queue[],
  tasks: readonly TaskLimits[],
  config: Pick<Config, 'taskDelayedDelivery' | 'taskMaxHeldDelay'>,
): readonly Overdue[] {
  return queues.flatMap(({ name, queueArguments }) => {
    const limitMs = queueArguments['x-consumer-timeout'];
    if (typeof limitMs !== 'number' || limitMs <= 0) return [];
    const limit = limitMs / 1000;
    const tooLong = tasks.filter(({ acksLate, timeLimit }) => acksLate && timeLimit !== undefined && timeLimit > limit);
    const delays = config.taskDelayedDelivery === 'worker' || config.taskMaxHeldDelay > limit;
    if (tooLong.length === 0 && !delays) return [];
    return [{ queue: name, consumerTimeoutSeconds: limit, tasks: tooLong.map((task) => task.name), delays }];
  });
}
