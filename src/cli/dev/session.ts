/**
 * A session of `celery-ts dev`: worker after worker, one for each state of the sources, until somebody stops it.
 *
 *     start ──▶ runs ── sources change ──▶ stops ──▶ start
 *                 └── ends by itself ──▶ waits for a change ──▶ start
 *
 * The broker outlives the workers: what is queued waits for the next one, and what a stopped worker has not finished
 * comes again.
 */
import { relative } from 'node:path';
import { exitCodes } from '../exit-codes.ts';
import type { DevBroker } from './dev-broker.ts';
import type { AppNews, ReadyNews, WorkerNews } from './link.ts';
import type { SourceWatch } from './watch.ts';
import { type Ended, WorkerProcess, type WorkerProcessOptions } from './worker-process.ts';

export interface SessionOptions {
  readonly worker: Omit<WorkerProcessOptions, 'onNews'>;
  readonly broker: DevBroker;
  /** The broker stands already, wherever the app's URL points. */
  readonly isBrokerChosen: boolean;
  readonly watch: SourceWatch;
  /** Undefined: when there is a schedule. */
  readonly runsBeat: boolean | undefined;
  readonly cwd: string;
  readonly say: (text: string) => void;
  /** The first worker is ready. */
  readonly onReady: (app: AppNews, worker: ReadyNews, runsBeat: boolean) => void;
}

/** How long running tasks may go on when the sources change; then they end and come again. */
const restartGraceMs = 5000;

type Event =
  | { readonly kind: 'ended'; readonly ended: Ended }
  | { readonly kind: 'changed'; readonly files: readonly string[] }
  | { readonly kind: 'stopped' };

export class Session {
  readonly #options: SessionOptions;
  readonly #stop = new AbortController();
  #worker: WorkerProcess | undefined;
  #failure: unknown;
  #hasGreeted = false;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Asks for the end: the first time warmly, then coldly, then it is forced. */
  stop(): void {
    this.#stop.abort();
    this.#worker?.press();
  }

  get isStopping(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Resolves to the exit code when all has ended. @throws {CommandError} when there can be no broker at the start. */
  async run(): Promise<number> {
    const alive = setInterval(() => undefined, 2 ** 30); // nothing else may keep the process while it waits
    try {
      return await this.#run();
    } finally {
      clearInterval(alive);
    }
  }

  async #run(): Promise<number> {
    const { say, watch } = this.#options;
    while (!this.isStopping) {
      this.#worker = this.#start();
      const event = await this.#next(this.#worker);
      if (event.kind === 'changed') {
        say(`${this.#names(event.files)} changed: restarting`);
        await this.#worker.stop(restartGraceMs);
        continue;
      }
      if (event.kind === 'stopped') {
        const { code } = await this.#worker.ended;
        return code ?? exitCodes.done;
      }
      this.#throwEarlyFailure();
      if (event.ended.code === exitCodes.usage) return exitCodes.usage;
      say(`The worker has ended (${how(event.ended)}). A change of the sources starts it again.`);
      const files = await watch.next(this.#stop.signal, 'any').catch(() => []);
      if (files.length > 0) say(`${this.#names(files)} changed: starting`);
    }
    return exitCodes.done;
  }

  #start(): WorkerProcess {
    let app: AppNews | undefined;
    let runsBeat = false;
    const hear = async (news: WorkerNews): Promise<void> => {
      if (news.kind === 'loaded') {
        app = news;
        runsBeat = this.#options.runsBeat ?? news.entries > 0;
        if (!this.#options.isBrokerChosen) await this.#options.broker.serve(news.brokers);
        worker.go({ kind: 'go', runsBeat, isAlone: this.#options.broker.isIdle });
        if (news.path !== undefined) await this.#options.watch.follow([news.path, ...news.modules]);
      } else if (app !== undefined && !this.#hasGreeted) {
        this.#hasGreeted = true;
        this.#options.onReady(app, news, runsBeat);
      }
    };
    const onNews = (news: WorkerNews): void => {
      hear(news).catch((error: unknown) => {
        this.#failure = error;
        // At the start the command ends with it.
        if (this.#hasGreeted) this.#options.say(error instanceof Error ? error.message : String(error));
        void worker.stop(0);
      });
    };
    const worker = new WorkerProcess({ ...this.#options.worker, onNews });
    return worker;
  }

  /** Nothing has run yet, and without a broker nothing will. */
  #throwEarlyFailure(): void {
    if (this.#failure !== undefined && !this.#hasGreeted) throw this.#failure;
    this.#failure = undefined;
  }

  async #next(worker: WorkerProcess): Promise<Event> {
    const enough = new AbortController();
    const { signal } = enough;
    const stopped = new Promise<Event>((resolve) => {
      const onStop = (): void => resolve({ kind: 'stopped' });
      if (this.isStopping) onStop();
      this.#stop.signal.addEventListener('abort', onStop, { once: true, signal });
    });
    const changed = this.#options.watch.next(signal, 'imported').then((files): Event => ({ kind: 'changed', files }));
    changed.catch(() => undefined);
    const ended = worker.ended.then((end): Event => ({ kind: 'ended', ended: end }));
    try {
      return await Promise.race([stopped, changed, ended]);
    } finally {
      enough.abort();
    }
  }

  #names(files: readonly string[]): string {
    const [first = '', ...others] = files.map((path) => relative(this.#options.cwd, path));
    return others.length === 0 ? first : `${first} and ${others.length} more`;
  }
}

function how({ code, signal }: Ended): string {
  return signal === undefined ? `exit code ${code ?? 0}` : signal;
}
