/** The pool of processes over 100,000 tasks: children are recycled exactly, nothing is lost or run twice, memory stays. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Celery } from 'celery-ts';
import { expect, it } from 'vitest';
import { testBroker } from '../support/broker.ts';
import { tempProject } from '../support/cli.ts';
import { until } from '../support/until.ts';

const tasks = 100_000;
const perChild = 1_000;

const source = `
import { appendFileSync } from 'node:fs';
import { Celery } from 'celery-ts';
export const app = new Celery('soak', { brokerUrl: process.env.CELERY_BROKER_URL, taskIgnoreResult: true });
app.task('count', (number) => appendFileSync(process.env.LEDGER, process.pid + ' ' + number + '\\n'));
`;

it('runs 100,000 tasks once each, 1,000 in each child, and the main process keeps its size', {
  timeout: 900_000,
}, async () => {
  await using broker = await testBroker();
  await using project = await tempProject({ 'tasks.mjs': source });
  const ledger = join(project.folder, 'ledger');
  await writeFile(ledger, '');
  const runs = async (): Promise<string[]> => (await readFile(ledger, 'utf8')).split('\n').slice(0, -1);
  await using app = new Celery('client', { brokerUrl: broker.url, taskIgnoreResult: true });
  await using worker = project.start(
    ['worker', '-A', 'tasks', '-c', '2', '--max-tasks-per-child', String(perChild), '--prefetch-multiplier', '64'],
    { CELERY_BROKER_URL: broker.url, LEDGER: ledger, MALLOC_ARENA_MAX: '1' },
  );
  await worker.line(/ ready\.$/, 60);
  const rssMiB = async (): Promise<number> => {
    const status = await readFile(`/proc/${worker.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
  };
  let sent = 0;
  const send = async (total: number): Promise<void> => {
    const lane = async (): Promise<void> => {
      while (sent < total) await app.sendTask('count', [sent++]);
    };
    await Promise.all(Array.from({ length: 200 }, lane));
  };
  const ended = (count: number): Promise<unknown> =>
    until(async () => (await runs()).length >= count, {
      what: `${count} runs`,
      withinSeconds: 600,
      everyMs: 500,
    });

  const sizes: number[] = [];
  for (let count = tasks / 10; count <= tasks; count += tasks / 10) {
    await send(count);
    await ended(count);
    sizes.push(await rssMiB());
  }
  expect((await worker.stop(30)).code).toBe(0);

  const lines = (await runs()).map((line) => line.split(' '));
  expect(new Set(lines.map(([, number]) => number)).size).toBe(tasks);
  expect(lines).toHaveLength(tasks);
  const byChild = new Map<string, number>();
  for (const [pid = ''] of lines) byChild.set(pid, (byChild.get(pid) ?? 0) + 1);
  const counts = [...byChild.values()];
  // The children of now may not be full.
  expect(counts.filter((count) => count !== perChild).length).toBeLessThanOrEqual(2);
  expect(Math.max(...counts)).toBe(perChild);
  expect(await broker.depth('celery')).toBe(0);
  const [first = 0] = sizes;
  const last = sizes.at(-1) ?? 0;
  console.info(
    `${tasks} tasks in ${counts.length} children; the main process after 10,000: ${first.toFixed(1)} MiB, ` +
      `after all: ${last.toFixed(1)} MiB (${sizes.map((size) => size.toFixed(0)).join(', ')})`,
  );
  expect(last / first).toBeLessThan(1.1);
});
