/**
 * `npm run bench`: celery-ts beside raw amqplib (and beside Python Celery, where there is one), on one RabbitMQ, in one
 * run. Each row runs in a process of its own; rounds go through all rows in turn, and the median of each row counts.
 *
 *   BENCH_COUNT=50000  BENCH_ROUNDS=3  BENCH_MEMORY=10000,50000,100000 (0: not measured)
 *   BENCH_ROWS=-E,async: only rows whose name has one of these texts, and those they are measured against; no pool
 *   the broker is chosen as for tests: CELERY_TEST_BROKER_URL, Docker, or rabbitmq-server on PATH
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { chooseBroker } from '../test/support/broker-choice.ts';
import { openBroker } from '../test/support/vhost.ts';
import type { Bench, Row } from './measure.ts';
import { delay } from './rows/delay.ts';
import { fibOne, fibPoolOne, fibPoolTwo, fibTwo } from './rows/fib.ts';
import { memory } from './rows/memory.ts';
import { pool } from './rows/pool.ts';
import { pythonPrefork } from './rows/python.ts';
import { rawConsume } from './rows/raw-consume.ts';
import { rawPublish } from './rows/raw-publish.ts';
import { workerAsync, workerAsyncEvents, workerPrefork, workerPreforkEvents } from './rows/worker.ts';

const rows: readonly Row[] = [
  rawPublish,
  delay,
  rawConsume,
  workerAsync,
  workerAsyncEvents,
  pythonPrefork,
  workerPrefork,
  workerPreforkEvents,
  fibPoolOne,
  fibPoolTwo,
  fibOne,
  fibTwo,
];

async function main(): Promise<void> {
  const chosen = await chooseBroker((sentence) => console.warn(sentence));
  try {
    if (chosen.offer.kind !== 'rabbitmq') {
      throw new Error('The bench needs a RabbitMQ: CELERY_TEST_BROKER_URL, Docker, or rabbitmq-server on PATH.');
    }
    await using broker = await openBroker(chosen.offer);
    const bench: Bench = {
      brokerUrl: broker.url,
      count: Number(process.env.BENCH_COUNT ?? 50_000),
      inFlight: 1_000,
      prefetch: 256,
      python: await findPython(),
    };
    const rounds = Number(process.env.BENCH_ROUNDS ?? 3);
    console.log(`${bench.count} tasks, ${rounds} rounds, on ${chosen.sentence}; Node ${process.version}.\n`);
    report(await measure(bench, rounds));
    if (process.env.BENCH_ROWS === undefined) await reportPool(bench);
    await reportMemory(bench);
  } finally {
    await chosen.close();
  }
}

/** What each row did in each round; a text when it cannot be run here. */
type Results = ReadonlyMap<Row, readonly number[] | string>;

async function measure(bench: Bench, rounds: number): Promise<Results> {
  const results = new Map<Row, readonly number[] | string>();
  const asked = process.env.BENCH_ROWS?.split(',');
  const named = rows.filter(({ name }) => asked?.some((text) => name.includes(text)) ?? true);
  const chosen = rows.filter(
    (row) => named.includes(row) || named.some(({ against = [] }) => against.some((base) => base.row === row)),
  );
  for (let round = 0; round < rounds; round += 1) {
    for (const row of chosen) {
      const before = results.get(row) ?? [];
      if (typeof before === 'string') continue;
      const rate = await row.run(bench);
      results.set(row, typeof rate === 'string' ? rate : [...before, rate]);
    }
  }
  return results;
}

function report(results: Results): void {
  const lines = [...results].map(([row, rates]): readonly [string, string, string] =>
    typeof rates === 'string'
      ? [row.name, '-', rates]
      : [row.name, Math.round(median(rates)).toLocaleString('en'), comparisons(row, rates, results).join('; ')],
  );
  const widths = [0, 1].map((column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  for (const [name, rate, remark] of lines) {
    console.log(`${name.padEnd(widths[0] ?? 0)}  ${rate.padStart(widths[1] ?? 0)} /s  ${remark}`);
  }
}

/** Compared round by round: what else the machine did in a round slowed both. */
function comparisons(row: Row, rates: readonly number[], results: Results): string[] {
  return (row.against ?? []).flatMap(({ row: base, goal }) => {
    const baseRates = results.get(base);
    if (baseRates === undefined || typeof baseRates === 'string') return [];
    const times = median(rates.map((rate, round) => rate / (baseRates[round] ?? Number.NaN)));
    const verdict = times >= goal ? 'reached' : 'MISSED';
    return [`${times.toFixed(2)} x ${base.name} (to reach: ${goal} x, ${verdict})`];
  });
}

async function reportPool(bench: Bench): Promise<void> {
  const { childMegabytes, napSeconds, startSeconds } = await pool(bench);
  const goal = (value: number | string | undefined, unit: string, most: number): string =>
    typeof value === 'number'
      ? `${value.toFixed(2)} ${unit} (to reach: below ${most}, ${value < most ? 'reached' : 'MISSED'})`
      : (value ?? 'not measured here');
  console.log('\na pool of children');
  console.log(`  from the command to ready, four children: ${goal(startSeconds, 's', 1.5)}`);
  console.log(`  a child of the quick start: ${goal(childMegabytes, 'MB', 60)}`);
  console.log(`  1,000 tasks that sleep 1 s, -c 2 --async-slots 500: ${goal(napSeconds, 's', 2.5)}`);
}

async function reportMemory(bench: Bench): Promise<void> {
  const counts = (process.env.BENCH_MEMORY ?? '10000,50000,100000').split(',').map(Number);
  if (counts[0] === 0) return;
  const tallies = await memory(bench, counts);
  const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MB`;
  console.log(`\nmemory of the worker's main process, after a collection`);
  for (const { count, rss, heap } of tallies) {
    console.log(`  after ${count} tasks: ${megabytes(rss)} resident, ${megabytes(heap)} heap`);
  }
  const growth = ((tallies.at(-1)?.rss ?? 0) / (tallies[0]?.rss ?? 0) - 1) * 100;
  console.log(`  growth ${growth.toFixed(1)} % (to reach: within 10 %, ${growth <= 10 ? 'reached' : 'MISSED'})`);
}

async function findPython(): Promise<string | undefined> {
  const path = process.env.CELERY_TEST_PYTHON ?? 'python3';
  return promisify(execFile)(path, ['-c', 'import celery']).then(
    () => path,
    () => undefined,
  );
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

await main();
