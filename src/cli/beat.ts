/**
 * Beat made of a loaded app and options: what `celery-ts beat` and `worker -B` share.
 */
import { connectionOptions } from '../app/index.ts';
import {
  appHost,
  Beat,
  type BeatHost,
  CannotCreateFile,
  EntryScheduler,
  FileInUse,
  LeaderStore,
  schedulerNamed,
} from '../beat/index.ts';
import { AccessRefused } from '../core/errors.ts';
import type { LoadedApp } from './context.ts';
import { CommandError, exitCodes } from './exit-codes.ts';

export interface BeatCommandOptions {
  /** The schedule file. */
  readonly schedule?: string | undefined;
  readonly scheduler?: string | undefined;
  /** Seconds. */
  readonly maxInterval?: number | undefined;
  /** True, or the name that the beats have in common. */
  readonly ha?: boolean | string | undefined;
}

export interface PreparedBeat {
  readonly host: BeatHost;
  readonly scheduler: string;
  readonly scheduleFile: string;
  /** Runs until the signal aborts. @throws {CommandError} 73: the schedule file is taken or cannot be made. @throws {AccessRefused} */
  run(signal: AbortSignal): Promise<void>;
}

/** @throws {ImproperlyConfigured} for wrong entries or an unknown scheduler. */
export async function prepareBeat(
  { app, system }: Pick<LoadedApp, 'app' | 'system'>,
  options: BeatCommandOptions,
  how: 'alone' | 'embedded',
): Promise<PreparedBeat> {
  const { config } = app;
  const host = appHost(app, { maxIntervalSeconds: options.maxInterval });
  const scheduleFile = options.schedule ?? config.beatScheduleFilename;
  const named = options.scheduler ?? config.beatScheduler;
  const leaderName = options.ha === true ? app.main : options.ha;
  const isLed = typeof leaderName === 'string';
  const scheduler = isLed ? `one leader of ${leaderName}` : named;
  const createScheduler = isLed
    ? (context: ConstructorParameters<typeof EntryScheduler>[0]) =>
        new EntryScheduler(
          context,
          new LeaderStore({
            name: leaderName,
            connection: connectionOptions(app, 'read', `celery-ts beat ${leaderName}`),
            system,
          }),
        )
    : await schedulerNamed(named, { cwd: process.cwd() });
  const announce = async (): Promise<void> => {
    await app.signals.beatInit.send(host, {});
    if (how === 'embedded') await app.signals.beatEmbeddedInit.send(host, {});
  };
  return {
    host,
    scheduler,
    scheduleFile,
    run: async (signal) => {
      const refused = new AbortController();
      // A broker that is away is waited for; one that refuses us says so now, not when the first run is due.
      if (how === 'alone' && !isLed) {
        app.publisher().catch((error: unknown) => {
          if (error instanceof AccessRefused) refused.abort(error);
          else system.log.warn({ err: error }, 'The broker cannot be reached yet: beat waits for it');
        });
      }
      try {
        const world = { ...system, log: system.log.child({ name: 'celery.beat' }) };
        const beat = new Beat({ host, scheduleFile, createScheduler, system: world, announce });
        await beat.run(AbortSignal.any([signal, refused.signal]));
        refused.signal.throwIfAborted();
      } catch (error) {
        if (error instanceof FileInUse || error instanceof CannotCreateFile) {
          throw new CommandError(error.message, exitCodes.cannotCreate);
        }
        throw error;
      }
    },
  };
}

/**
 * Runs beat beside a worker, in its main process, where no task runs. A beat that cannot go on (another has the
 * schedule file) is told in the log; the worker works on.
 * @throws {ImproperlyConfigured} for wrong entries or an unknown scheduler.
 */
export async function embedBeat(
  loaded: Pick<LoadedApp, 'app' | 'system'>,
  options: BeatCommandOptions,
): Promise<{ close(): Promise<void> }> {
  const beat = await prepareBeat(loaded, options, 'embedded');
  const stop = new AbortController();
  const running = beat.run(stop.signal).catch((error: unknown) => {
    loaded.system.log.error({ err: error }, 'The embedded beat has ended: this worker works on without it');
  });
  return {
    close: async () => {
      stop.abort();
      await running;
    },
  };
}
