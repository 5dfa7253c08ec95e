/** The memory of a worker's main process after 10,000 and after 100,000 tasks, each after a collection. */
import { type Bench, dropQueue, rateOf, type Tally } from '../measure.ts';
import { startWorker } from './worker.ts';

export interface Memory {
  readonly early: Tally;
  readonly late: Tally;
}

export async function memory(bench: Bench, [few, many]: readonly [number, number]): Promise<Memory> {
  const queue = 'memory';
  const fill = (count: number): Promise<number> =>
    rateOf('delay', {
      BENCH_BROKER_URL: bench.brokerUrl,
      BENCH_QUEUE: queue,
      BENCH_COUNT: `${count}`,
      BENCH_IN_FLIGHT: `${bench.inFlight}`,
    });
  await fill(few);
  let late: Tally | undefined;
  const early = await startWorker({ ...bench, count: few }, queue, ['-P', 'async', '-c', '64'], 4, async (_, read) => {
    await fill(many - few);
    late = await read(many);
  });
  await dropQueue(bench.brokerUrl, queue);
  return { early, late: late ?? early };
}
