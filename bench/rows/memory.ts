/** The memory of a worker's main process after so many tasks, and so many more, each time after a collection. */
import { type Bench, dropQueue, rateOf, type Tally } from '../measure.ts';
import { startWorker } from './worker.ts';

/** One tally for each of the counts, which ascend. */
export async function memory(bench: Bench, counts: readonly number[]): Promise<Tally[]> {
  const queue = 'memory';
  const env = { BENCH_BROKER_URL: bench.brokerUrl, BENCH_QUEUE: queue, BENCH_IN_FLIGHT: `${bench.inFlight}` };
  const fill = (count: number): Promise<number> => rateOf('delay', { ...env, BENCH_COUNT: `${count}` });
  const [first = 0, ...others] = counts;
  const tallies: Tally[] = [];
  await fill(first);
  await startWorker({ ...bench, count: first }, queue, ['-P', 'async', '-c', '64'], 4, async (tally, read) => {
    tallies.push(tally);
    for (const count of others) {
      await fill(count - (tallies.at(-1)?.count ?? 0));
      tallies.push(await read(count));
    }
  });
  await dropQueue(bench.brokerUrl, queue);
  return tallies;
}
