/**
 * A pool for one test, from the build, with `bodies.mjs` to run; ended when the test's scope ends.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { System } from '../../../src/core/system.ts';
import type { EncodedResult, Job, Outcome, Report } from '../../../src/execution/index.ts';
import type { OpenPool, Pool, PoolOptions } from '../../../src/worker/pool/index.ts';
import { root } from '../../support/build.ts';
import { type TestLogger, testLogger } from '../../support/logger.ts';

interface Built {
  readonly openPool: (name: string, options: PoolOptions) => ReturnType<OpenPool>;
  readonly PoolStartError: new (message: string) => Error;
}

const built = (path: string): Promise<never> => import(pathToFileURL(join(root, 'dist', path)).href) as Promise<never>;
const { openPool, PoolStartError } = (await built('worker/pool/index.js')) as Built;
const { nodeSystem } = (await built('core/system.js')) as {
  readonly nodeSystem: (options: { log: System['log'] }) => System;
};

export { PoolStartError };

export const bodiesUrl = pathToFileURL(join(import.meta.dirname, 'bodies.mjs')).href;

export interface Told {
  readonly id: string;
  /** Everything the listener heard, and the end: `started`, `state PROGRESS`, `event task-custom`, `done`. */
  readonly story: string[];
  readonly pids: number[];
  readonly states: EncodedResult[];
  readonly events: (readonly [string, Readonly<Record<string, unknown>>])[];
  readonly report: Promise<Report>;
}

export interface JobOptions extends Partial<Job> {
  readonly body?: Uint8Array;
}

export class PoolWorld implements AsyncDisposable {
  readonly pool: Pool;
  readonly logger: TestLogger;
  readonly folder: string;

  constructor(pool: Pool, logger: TestLogger, folder: string) {
    this.pool = pool;
    this.logger = logger;
    this.folder = folder;
  }

  /** Gives the pool a job and listens. */
  submit(verb: string, arg?: unknown, options: JobOptions = {}): Told {
    const job: Job = {
      id: randomUUID(),
      task: `tests.${verb}`,
      properties: {},
      deliveryInfo: { exchange: '', routingKey: 'celery', priority: undefined, redelivered: false },
      body: Buffer.from('[[], {}, {}]'),
      softTimeLimit: undefined,
      timeLimit: undefined,
      crashes: 0,
      ...options,
      headers: { verb, arg, ...options.headers },
    };
    const told = { id: job.id, story: [] as string[], pids: [] as number[], states: [] as EncodedResult[] };
    const events: (readonly [string, Readonly<Record<string, unknown>>])[] = [];
    const report = new Promise<Report>((resolve) => {
      this.pool.submit(
        job,
        {
          started: (pid) => {
            told.story.push('started');
            told.pids.push(pid);
          },
          state: (result) => {
            told.story.push(`state ${result.state}`);
            told.states.push(result);
          },
          event: (type, fields) => {
            told.story.push(`event ${type}`);
            events.push([type, fields]);
          },
        },
        (ended) => {
          told.story.push('done');
          resolve(ended);
        },
      );
    });
    return { ...told, events, report };
  }

  async run(verb: string, arg?: unknown, options: JobOptions = {}): Promise<Outcome> {
    return (await this.submit(verb, arg, options).report).outcome;
  }

  /** What the body returned. @throws when it did not */
  async value(verb: string, arg?: unknown, options: JobOptions = {}): Promise<unknown> {
    const outcome = await this.run(verb, arg, options);
    if (outcome.kind !== 'succeeded') throw new Error(`${verb} did not succeed: ${JSON.stringify(outcome)}`);
    return JSON.parse(outcome.resultRepr);
  }

  get processes(): readonly number[] {
    return this.pool.stats().processes;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** The lines of a file that bodies append to. */
  lines(name: string): string[] {
    return linesOf(this.path(name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.terminate();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export type WorldOptions = Partial<Omit<PoolOptions, 'child' | 'system'>> & {
  /** For `loadTracer` in `bodies.mjs`. `tally: true` becomes the path of a file of the world's. */
  readonly data?: Readonly<Record<string, unknown>>;
  readonly url?: string;
};

export async function openWorld(name: string, options: WorldOptions = {}): Promise<PoolWorld> {
  const { data, url = bodiesUrl, ...rest } = options;
  const folder = mkdtempSync(join(tmpdir(), 'celery-ts-pool-test-'));
  const logger = testLogger();
  const { loadTracer } = await import(bodiesUrl);
  const { tally, failWhen, ...others } = data ?? {};
  const inFolder = (given: unknown, file: string): unknown => (given === true ? join(folder, file) : given);
  const ownData = { ...others, tally: inFolder(tally, 'tally'), failWhen: inFolder(failWhen, 'broken') };
  try {
    const pool = await openPool(name, {
      size: 2,
      loadTracer,
      child: { url, data: ownData },
      ...rest,
      system: nodeSystem({ log: logger.log }),
    });
    return new PoolWorld(pool, logger, folder);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

export function linesOf(path: string): string[] {
  return readFileSync(path, 'utf8').split('\n').filter(Boolean);
}

/** Whether a process of that id is there and no zombie. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    try {
      process.kill(pid, 0);
      return process.platform !== 'linux';
    } catch {
      return false;
    }
  }
}
