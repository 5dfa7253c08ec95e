/** Work for the processor, by one child and by two: what main process and broker leave of the second core. */
import type { Bench, Row } from '../measure.ts';
import { work } from './worker.ts';

export const fibOne: Row = {
  name: 'fib(25): celery-ts worker -P prefork -c 1',
  run: (bench) => compute(bench, 1),
};

export const fibTwo: Row = {
  name: 'fib(25): celery-ts worker -P prefork -c 2',
  against: [{ row: fibOne, goal: 1.8 }],
  run: (bench) => compute(bench, 2),
};

/** A sixth of the messages: each is some twenty times the work. */
function compute(bench: Bench, children: number): Promise<number | string> {
  const fewer = { ...bench, count: Math.ceil(bench.count / 6) };
  return work(fewer, `fib-${children}`, ['-P', 'prefork', '-c', `${children}`], bench.prefetch / children, 'fib');
}
