/** What a pool of children costs by the clock and in memory: the start, a child, and tasks that only wait. */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '../../test/support/until.ts';
import { type Bench, ended, root } from '../measure.ts';
import { work } from './worker.ts';

export interface PoolTally {
  /** From the command to `ready`, with four children. */
  readonly startSeconds: number;
  /** What a child of the quick start has for itself, shared pages counted by their share (Linux). */
  readonly childMegabytes: number | undefined;
  /** 1,000 tasks that sleep for a second, two children with 500 slots each. */
  readonly napSeconds: number | string;
}

export async function pool(bench: Bench): Promise<PoolTally> {
  const { childMegabytes, startSeconds } = await start(bench);
  const rate = await work(
    { ...bench, count: naps },
    'naps',
    ['-P', 'prefork', '-c', '2', '--async-slots', '500'],
    1,
    'nap',
  );
  return { startSeconds, childMegabytes, napSeconds: typeof rate === 'string' ? rate : naps / rate };
}

const naps = 1_000;

async function start({ brokerUrl }: Bench): Promise<Pick<PoolTally, 'startSeconds' | 'childMegabytes'>> {
  const startedAt = performance.now();
  const worker = spawn(
    process.execPath,
    [join(root, 'bin', 'celery-ts.js'), 'worker', '-A', './tasks.js', '-c', '4', '-l', 'INFO'],
    {
      cwd: join(root, 'build', 'examples', 'quickstart'),
      env: { ...process.env, CELERY_BROKER_URL: brokerUrl, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const gone = ended(worker);
  let said = '';
  for (const stream of [worker.stdout, worker.stderr]) {
    stream.on('data', (chunk) => {
      said += String(chunk);
    });
  }
  try {
    await until(() => / ready\.$/m.test(said) || worker.exitCode !== null, { what: 'the worker', everyMs: 5 });
    if (worker.exitCode !== null) throw new Error(`The worker ended while it started:\n${said}`);
    const startSeconds = (performance.now() - startedAt) / 1000;
    return { startSeconds, childMegabytes: await memoryOfChild(worker.pid) };
  } finally {
    worker.kill('SIGTERM');
    await gone;
  }
}

/** The largest of its children. */
async function memoryOfChild(pid: number | undefined): Promise<number | undefined> {
  if (process.platform !== 'linux') return undefined;
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ').filter(Boolean);
  const sizes = await Promise.all(
    children.map(async (child) => {
      const rollup = await readFile(`/proc/${child}/smaps_rollup`, 'utf8');
      return Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1]) / 1024;
    }),
  );
  return Math.max(...sizes);
}
