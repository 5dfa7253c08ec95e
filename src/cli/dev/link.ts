/**
 * Between `celery-ts dev` and the worker it runs, which is a process of its own. The worker says what it has loaded and
 * waits until its broker is there; when `dev` is gone, it ends.
 */
import { createRequire } from 'node:module';
import { isAbsolute, sep } from 'node:path';
import type { Celery } from '../../app/index.ts';
import type { AppLocation } from '../../app/loader.ts';
import { appHost } from '../../beat/index.ts';
import type { WorkerInfo } from '../../worker/index.ts';
import { askBrokers } from './ask-brokers.ts';
import type { Asked } from './broker-plan.ts';

/** What the worker found. */
export interface AppNews {
  readonly kind: 'loaded';
  readonly main: string;
  readonly path: string | undefined;
  /** Files of the app that Node has loaded, as far as it tells. */
  readonly modules: readonly string[];
  readonly brokers: readonly Asked[];
  readonly tasks: readonly string[];
  /** Entries of the schedule. */
  readonly entries: number;
}

/** It knows its queues and pool, and is about to consume. */
export interface ReadyNews {
  readonly kind: 'ready';
  readonly nodeName: string;
  readonly pool: string;
  readonly concurrency: number;
  readonly queues: readonly string[];
}

export type WorkerNews = AppNews | ReadyNews;

/** The answer: the broker is there. */
export interface Permission {
  readonly kind: 'go';
  readonly runsBeat: boolean;
  /** Nobody else is connected: there is no worker to ask what it knows. */
  readonly isAlone: boolean;
}

export const mark = 'CELERY_TS_DEV';

/** Tasks at a time where neither the app nor the command says. */
const concurrency = 2;
/** From the loss of `dev` to a cold stop, and to the end. */
const coldAfterMs = 3000;
const endAfterMs = 8000;

/** The worker's side. */
export class DevLink {
  readonly concurrency = concurrency;
  #permission: Permission | undefined;

  /** Undefined where no `dev` has started this process. */
  static of(env: Record<string, string | undefined>): DevLink | undefined {
    const isOurs = env[mark] === '1' && process.send !== undefined;
    delete env[mark]; // not for programs that tasks start
    return isOurs ? new DevLink() : undefined;
  }

  private constructor() {
    process.once('disconnect', endAlone);
    process.channel?.unref();
  }

  get runsBeat(): boolean {
    return this.#permission?.runsBeat === true;
  }

  get isAlone(): boolean {
    return this.#permission?.isAlone === true;
  }

  /** Tells what was loaded; resolves when the broker is there. */
  async loaded(app: Celery, location: AppLocation | undefined): Promise<void> {
    process.channel?.ref();
    const answered = new Promise<void>((resolve) => {
      process.once('message', (message: Permission) => {
        this.#permission = message;
        process.channel?.unref();
        resolve();
      });
    });
    this.#tell({
      kind: 'loaded',
      main: app.main,
      path: location?.path,
      modules: loadedFiles(),
      brokers: await askBrokers(app),
      tasks: app.tasks.names().filter((name) => !name.startsWith('celery.')),
      entries: appHost(app).book.entries.size,
    });
    await answered;
  }

  ready({ nodeName, pool, concurrency: size, queues }: WorkerInfo): void {
    this.#tell({ kind: 'ready', nodeName, pool, concurrency: size, queues: queues.map(({ name }) => name) });
  }

  #tell(news: WorkerNews): void {
    process.send?.(news, () => undefined);
  }
}

/** Modules that were loaded as CommonJS, as TypeScript is here. */
function loadedFiles(): string[] {
  const { cache } = createRequire(import.meta.url);
  return Object.keys(cache).filter((path) => isAbsolute(path) && !path.split(sep).includes('node_modules'));
}

function endAlone(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.kill(process.pid, 'SIGTERM'), coldAfterMs).unref();
  setTimeout(() => process.exit(1), endAfterMs).unref();
}
