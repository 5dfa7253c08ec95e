/** A worker in the test's own process: real messages over a real socket, bodies run where breakpoints reach them. */
import type { Celery } from '../app/index.ts';
import { workerNodeName } from '../core/node-names.ts';
import { Worker } from '../worker/index.ts';

export interface StartWorkerOptions {
  /** Where the app's messages go; default: the app's own `brokerUrl`. */
  readonly broker?: { readonly url: string } | undefined;
  /** Queues to consume; default: all of the app. */
  readonly queues?: readonly string[] | undefined;
  /** Tasks at a time. Default 4. */
  readonly concurrency?: number | undefined;
  /** `async` (default) or `solo`. */
  readonly pool?: 'async' | 'solo' | undefined;
  /** Node name; default `test@<host>`. */
  readonly name?: string | undefined;
}

/** A worker that was started for a test. */
export interface TestWorker extends AsyncDisposable {
  readonly nodeName: string;
  /** Lets running tasks end, then stops. */
  close(): Promise<void>;
}

/**
 * Starts a worker here and resolves when it consumes.
 *
 * @throws {OperationalError} when the broker does not answer.
 * @example
 * await using broker = await startBroker();
 * await using worker = await startWorker(app, { broker });
 * expect(await (await add.delay(1, 1)).get({ timeout: 5 })).toBe(2);
 */
export async function startWorker(app: Celery, options: StartWorkerOptions = {}): Promise<TestWorker> {
  if (options.broker !== undefined) app.conf.brokerUrl = options.broker.url;
  const nodeName = workerNodeName(options.name ?? 'test', app.system.hostname);
  await app.signals.celerydInit.send(nodeName, { instance: undefined, conf: app.conf, options: { ...options } });
  const worker = await Worker.open(app, {
    nodeName,
    pool: options.pool ?? 'async',
    concurrency: options.concurrency ?? 4,
    selection: { only: options.queues },
  });
  const close = (): Promise<void> => worker.stop();
  return { nodeName, close, [Symbol.asyncDispose]: close };
}
