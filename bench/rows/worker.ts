/** A celery-ts worker on a queue that is full already: from the first body to the last. */
import { join } from 'node:path';
import { connect } from 'amqplib';
import { until } from '../../test/support/until.ts';
import { type Bench, dropQueue, type Row, rateOf, ratePerSecond, root, type Tally, workThrough } from '../measure.ts';
import { pythonPrefork } from './python.ts';
import { rawConsume } from './raw-consume.ts';

export const workerAsync: Row = {
  name: 'consume: celery-ts worker -P async -c 64',
  against: [{ row: rawConsume, goal: 0.7 }],
  run: (bench) => work(bench, 'worker-async', ['-P', 'async', '-c', '64'], bench.prefetch / 64),
};

export const workerPrefork: Row = {
  name: 'consume: celery-ts worker -P prefork -c 2',
  against: [
    { row: rawConsume, goal: 0.6 },
    { row: pythonPrefork, goal: 3 },
  ],
  run: (bench) => work(bench, 'worker-prefork', ['-P', 'prefork', '-c', '2'], bench.prefetch / 2),
};

/** With `-E`: three events a task, to a queue bound as a monitor's is. */
export const workerAsyncEvents: Row = {
  name: 'consume: celery-ts worker -P async -c 64 -E',
  against: [{ row: workerAsync, goal: 0.8 }],
  run: (bench) =>
    listened(bench, () => work(bench, 'worker-async-events', ['-P', 'async', '-c', '64', '-E'], bench.prefetch / 64)),
};

export const workerPreforkEvents: Row = {
  name: 'consume: celery-ts worker -P prefork -c 2 -E',
  against: [{ row: workerPrefork, goal: 0.8 }],
  run: (bench) =>
    listened(bench, () => work(bench, 'worker-prefork-events', ['-P', 'prefork', '-c', '2', '-E'], bench.prefetch / 2)),
};

/** Messages a second by that pool; `task`: other than `add`. A text when it cannot be run here. */
export async function work(
  bench: Bench,
  queue: string,
  pool: readonly string[],
  multiplier: number,
  task: 'add' | 'fib' | 'nap' = 'add',
): Promise<number | string> {
  await rateOf('delay', {
    BENCH_BROKER_URL: bench.brokerUrl,
    BENCH_QUEUE: queue,
    BENCH_TASK: task,
    BENCH_COUNT: `${bench.count}`,
    BENCH_IN_FLIGHT: `${bench.inFlight}`,
  });
  try {
    return ratePerSecond(await startWorker(bench, queue, pool, multiplier));
  } catch (error) {
    return error instanceof Error
      ? (error.message.split('\n').find((line) => /pool/i.test(line)) ?? error.message)
      : String(error);
  } finally {
    await dropQueue(bench.brokerUrl, queue);
  }
}

/** While somebody listens to all events, as Flower does. A text when fewer came than the tasks must have caused. */
async function listened(bench: Bench, run: () => Promise<number | string>): Promise<number | string> {
  const connection = await connect(bench.brokerUrl);
  try {
    const channel = await connection.createChannel();
    await channel.assertExchange('celeryev', 'topic', { durable: true });
    const { queue } = await channel.assertQueue('', { exclusive: true, autoDelete: true });
    await channel.bindQueue(queue, 'celeryev', '#');
    // Counted when the work is done: the listener shares its cores with the worker.
    const bodies: Buffer[] = [];
    await channel.consume(queue, (message) => message !== null && bodies.push(message.content), { noAck: true });
    const rate = await run();
    const told = bench.count * 3;
    if (typeof rate === 'string') return rate;
    let heard = 0;
    const count = (): number => {
      for (const body of bodies.splice(0)) heard += body.toString('latin1').split('"type":').length - 1;
      return heard;
    };
    await until(() => count() >= told, { what: 'all events' }).catch(() => undefined);
    // Nobody waits for events: a broker that is slow to say goodbye may miss the last ones.
    return heard >= 0.95 * told ? rate : `${heard} events came, ${told} tell of ${bench.count} tasks`;
  } finally {
    await connection.close();
  }
}

export function startWorker(
  { brokerUrl, count }: Bench,
  queue: string,
  pool: readonly string[],
  multiplier: number,
  then?: (tally: Tally, read: (count: number) => Promise<Tally>) => Promise<void>,
): Promise<Tally> {
  const bin = join(root, 'bin', 'celery-ts.js');
  return workThrough({
    command: process.execPath,
    args: [...(then === undefined ? [] : ['--expose-gc']), bin, 'worker', '-A', './tasks.js', ...pool, '-l', 'WARNING'],
    env: {
      BENCH_BROKER_URL: brokerUrl,
      BENCH_QUEUE: queue,
      BENCH_MULTIPLIER: `${multiplier}`,
      // One arena, as the deployment page advises: glibc keeps what several threads freed, and resident memory grows by it.
      ...(then === undefined ? {} : { MALLOC_ARENA_MAX: '1' }),
    },
    count,
    ...(then === undefined ? {} : { then }),
  });
}
