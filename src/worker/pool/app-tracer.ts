/**
 * The tracer of a user's app: loaded by name in a child, or made of the app at hand in the worker's own process.
 */
import type { Celery } from '../../app/index.ts';
import { type AppLocation, loadApp } from '../../app/loader.ts';
import { createTracer, type ExecutionHost } from '../../execution/index.ts';
import type { LoadedTracer, LoadTracer, TracerContext } from './options.ts';

/** What a child needs to become the worker's equal; survives JSON. */
export interface AppTracerData {
  readonly location: AppLocation;
  /** Settings of the command line. */
  readonly flags: Readonly<Record<string, unknown>>;
  readonly nodeName: string;
  readonly resultForm: ExecutionHost['resultForm'];
}

/** Loads the app that the worker was given, in a child process or thread. */
export async function loadTracer(context: TracerContext): Promise<LoadedTracer> {
  const { flags, location, nodeName, resultForm } = context.data as AppTracerData;
  const app = await loadApp(location);
  app.useSystem(context.system);
  app.settings.setFlags(flags);
  app.nodeName = nodeName;
  await app.loaded;
  const { processInit, processShutdown, tracer } = tracerOf(app, resultForm);
  return {
    tracer,
    ...(processInit === undefined ? {} : { processInit }),
    processShutdown: async (news) => {
      await processShutdown?.(news);
      await app.close();
    },
  };
}

/** The app at hand, for pools that run bodies in the worker's own process. */
export function tracerLoader(app: Celery, resultForm: ExecutionHost['resultForm']): LoadTracer {
  return () => tracerOf(app, resultForm);
}

function tracerOf(app: Celery, resultForm: ExecutionHost['resultForm']): LoadedTracer {
  const { workerProcessInit, workerProcessShutdown } = app.signals;
  return {
    tracer: createTracer(app.executionHost(resultForm)),
    processInit: () => workerProcessInit.send(undefined, {}),
    processShutdown: ({ exitCode, pid }) => workerProcessShutdown.send(undefined, { pid, exitcode: exitCode }),
  };
}
