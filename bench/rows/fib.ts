/**
 * Work for the processor, by one child and by two. A worker and its broker share the machine with the children: what they
 * take of two cores, two children do not have. So the pool is measured alone, too.
 */
import { type Bench, type Row, rateOf } from '../measure.ts';
import { work } from './worker.ts';

const pool = (children: number): Row => ({
  name: `fib(25): the pool alone, -c ${children}`,
  run: ({ count, prefetch }) =>
    rateOf('pool', {
      BENCH_CHILDREN: `${children}`,
      BENCH_COUNT: `${shareOf(count)}`,
      BENCH_PREFETCH: `${prefetch}`,
    }),
});

const worker = (children: number): Row => ({
  name: `fib(25): celery-ts worker -P prefork -c ${children}`,
  run: (bench: Bench) => {
    const fewer = { ...bench, count: shareOf(bench.count) };
    return work(fewer, `fib-${children}`, ['-P', 'prefork', '-c', `${children}`], bench.prefetch / children, 'fib');
  },
});

/** Each is some twenty times the work of a task that does nothing. */
const shareOf = (count: number): number => Math.ceil(count / 3);

export const fibPoolOne: Row = pool(1);
export const fibPoolTwo: Row = { ...pool(2), against: [{ row: fibPoolOne, goal: 1.8 }] };
export const fibOne: Row = worker(1);
export const fibTwo: Row = { ...worker(2), against: [{ row: fibOne, goal: 1.8 }] };
