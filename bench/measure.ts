/**
 * What the rows share: where they run, how they start a program and read what it counted.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { until } from '../test/support/until.ts';

/** The repository, seen from `build/bench`. */
export const root = join(import.meta.dirname, '..', '..');

export interface Bench {
  /** A vhost of its own on a RabbitMQ. */
  readonly brokerUrl: string;
  /** Messages in each row. */
  readonly count: number;
  readonly inFlight: number;
  readonly prefetch: number;
  /** An interpreter with Celery, if there is one. */
  readonly python: string | undefined;
}

export interface Row {
  readonly name: string;
  /** The rows it is measured against, and how many times as fast as each it is to be. */
  readonly against?: readonly { readonly row: Row; readonly goal: number }[];
  /** Messages a second; a text when the row cannot be run here. */
  run(bench: Bench): Promise<number | string>;
}

export interface Tally {
  readonly count: number;
  /** Epoch ms, with fractions. */
  readonly first: number;
  readonly last: number;
  readonly rss: number;
  readonly heap: number;
}

/** Runs a program of the bench to its end; it prints one JSON document. */
export async function runProgram(name: string, env: Readonly<Record<string, string>>): Promise<unknown> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'programs', `${name}.js`)], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += String(chunk);
  });
  const code = await ended(child);
  if (code !== 0) throw new Error(`${name} ended with ${code}: ${said}`);
  return JSON.parse(said);
}

/** Messages a second, from a program that prints `{ seconds, count }`. */
export async function rateOf(name: string, env: Readonly<Record<string, string>>): Promise<number> {
  const answer = await runProgram(name, env);
  if (typeof answer !== 'object' || answer === null || !('seconds' in answer) || !('count' in answer)) {
    throw new Error(`${name} printed ${JSON.stringify(answer)}`);
  }
  return Number(answer.count) / Number(answer.seconds);
}

/** A worker on a queue that is full already, until it has run `count` tasks; then it is stopped. */
export async function workThrough(given: {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly count: number;
  readonly withinSeconds?: number;
  /** Called when all is done and the worker still runs. */
  readonly then?: (tally: Tally, read: (count: number) => Promise<Tally>) => Promise<void>;
}): Promise<Tally> {
  const folder = await mkdtemp(join(tmpdir(), 'celery-ts-bench-'));
  const child = spawn(given.command, given.args, {
    cwd: import.meta.dirname,
    env: { ...process.env, ...given.env, BENCH_TALLY: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      said = (said + String(chunk)).slice(-4000);
    });
  }
  const read = (count: number): Promise<Tally> =>
    until(
      async () => {
        if (child.exitCode !== null) return 'ended' as const;
        const tally = await readTally(folder);
        return tally.count >= count ? tally : undefined;
      },
      { what: `${count} tasks`, withinSeconds: given.withinSeconds ?? 180, everyMs: 100 },
    ).then((tally) => {
      if (tally === 'ended') throw new Error(`The worker ended before its work was done:\n${said}`);
      return tally;
    });
  try {
    const tally = await read(given.count);
    await given.then?.(tally, read);
    return tally;
  } finally {
    await stop(child);
    await rm(folder, { recursive: true, force: true });
  }
}

/** The sum of what each process of a worker counted. */
async function readTally(folder: string): Promise<Tally> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.json'));
  const tallies = await Promise.all(
    files.map(async (file) => JSON.parse(await readFile(join(folder, file), 'utf8')) as Tally),
  );
  return {
    count: tallies.reduce((sum, tally) => sum + tally.count, 0),
    first: Math.min(...tallies.map((tally) => tally.first)),
    last: Math.max(...tallies.map((tally) => tally.last)),
    rss: Math.max(0, ...tallies.map((tally) => tally.rss)),
    heap: Math.max(0, ...tallies.map((tally) => tally.heap)),
  };
}

export function ratePerSecond(tally: Tally): number {
  return (tally.count / (tally.last - tally.first)) * 1000;
}

/** Empties and deletes a queue, so that rows do not see each other's. */
export async function dropQueue(brokerUrl: string, queue: string): Promise<void> {
  const connection = await connect(brokerUrl);
  const channel = await connection.createChannel();
  await channel.deleteQueue(queue);
  await connection.close();
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = ended(child);
  child.kill('SIGTERM');
  const insist = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await gone;
  clearTimeout(insist);
}

export function ended(child: ChildProcess): Promise<number | NodeJS.Signals | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(signal ?? code));
  });
}
