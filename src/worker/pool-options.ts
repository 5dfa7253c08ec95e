/** How the settings of an app and the command line become the options of a pool. */
import type { Celery } from '../app/index.ts';
import { type AppTracerData, tracerLoader } from './pool/app-tracer.ts';
import type { PoolOptions } from './pool/options.ts';
import type { WorkerOptions } from './worker.ts';

/** Celery's names of the levels, in pino's. */
const levels = { DEBUG: 'debug', INFO: 'info', WARNING: 'warn', ERROR: 'error', CRITICAL: 'fatal' } as const;

export function poolOptions(
  app: Celery,
  given: WorkerOptions,
  size: number,
  resultForm: AppTracerData['resultForm'],
): PoolOptions {
  const { config, system } = app;
  const data: AppTracerData | undefined =
    given.location === undefined
      ? undefined
      : { location: given.location, flags: given.flags ?? {}, nodeName: given.nodeName, resultForm };
  const entry = new URL('./pool/app-tracer.js', import.meta.url);
  return {
    size,
    asyncSlots: config.workerAsyncSlots,
    system,
    loadTracer: tracerLoader(app, resultForm),
    child: data === undefined ? undefined : { url: entry.href, exportName: 'loadTracer', data },
    maxTasksPerChild: config.workerMaxTasksPerChild,
    maxMemoryPerChild: config.workerMaxMemoryPerChild,
    procAliveTimeoutSeconds: config.workerProcAliveTimeout,
    lostWaitSeconds: config.workerLostWait,
    softTimeLimitSeconds: config.taskSoftTimeLimit,
    timeLimitSeconds: config.taskTimeLimit,
    redirectStdouts: config.workerRedirectStdouts,
    redirectStdoutsLevel: levels[config.workerRedirectStdoutsLevel],
    beforeCreateProcess: () => void app.signals.workerBeforeCreateProcess.send(undefined, {}),
  };
}
