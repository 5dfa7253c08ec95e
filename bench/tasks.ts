/**
 * The app that the bench sends to and works with: no results, one queue named by `BENCH_QUEUE`.
 * Each process that runs tasks keeps a file `<pid>.json` in `BENCH_TALLY` with what it ran and when, written some
 * moments after the last task, so that the measuring itself costs next to nothing.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Celery } from 'celery-ts';

export const app = new Celery('bench', {
  brokerUrl: process.env.BENCH_BROKER_URL ?? 'amqp://guest:guest@localhost:5672//',
  taskDefaultQueue: process.env.BENCH_QUEUE ?? 'bench',
  workerPrefetchMultiplier: Number(process.env.BENCH_MULTIPLIER ?? 4),
});

const tally = { count: 0, first: 0, last: 0, rss: 0, heap: 0 };
const timer = setTimeout(write, 200).unref(); // set back by each task: fires when they have ended

export const add = app.task('bench.add', (x: number, y: number) => {
  note(now());
  return x + y;
});

/** Work for a processor: 0.6 ms for 25 here. */
export const fib = app.task('bench.fib', (n: number) => {
  const began = now();
  const result = fibonacci(n);
  note(began);
  return result;
});

/** Waits, and does nothing else. */
export const nap = app.task('bench.nap', async (ms: number) => {
  const began = now();
  await sleep(ms);
  note(began);
});

function fibonacci(n: number): number {
  return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

/** A body has ended that began then. */
function note(began: number): void {
  if (tally.count === 0 || began < tally.first) tally.first = began;
  tally.count += 1;
  tally.last = now();
  timer.refresh();
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

function write(): void {
  if (tally.count === 0) return;
  const collect: unknown = Reflect.get(globalThis, 'gc'); // there with --expose-gc
  if (typeof collect === 'function') collect();
  const { rss, heapUsed } = process.memoryUsage();
  const folder = process.env.BENCH_TALLY;
  if (folder === undefined) return;
  writeFileSync(join(folder, `${process.pid}.json`), JSON.stringify({ ...tally, rss, heap: heapUsed }));
}
