/** Beat's host made of an app: its book and settings, and its way to send. */
import type { Celery, Config } from '../app/index.ts';
import { decodeOptions } from '../canvas/index.ts';
import { currentArguments } from '../schedules/index.ts';
import type { CallOptions } from '../task/index.ts';
import type { BeatHost, BeatSettings, DueRun } from './host.ts';

/** @throws {ImproperlyConfigured} listing every entry of `beatSchedule` that is wrong. */
export function appHost(app: Celery, options: { readonly maxIntervalSeconds?: number | undefined } = {}): BeatHost {
  app.beat.configure(app.config.beatSchedule);
  return {
    name: app.main,
    settings: beatSettings(app.config, options.maxIntervalSeconds),
    book: app.beat,
    send: async (run) => {
      const { args, kwargs } = currentArguments(run.entry);
      const given: CallOptions = decodeOptions(run.entry.options);
      const headers = { ...headersOf(run), ...given.headers };
      await app.sendTask(run.entry.task, args, { ...given, headers, kwargs, taskId: run.taskId });
    },
  };
}

/** How a task knows that beat sent it (Celery's header), for which entry, and for what time (ours). */
function headersOf({ entry, due }: DueRun): Readonly<Record<string, unknown>> {
  return {
    celery_beat_task: true,
    'celery-ts-entry': entry.name,
    'celery-ts-due': new Date(Math.round(due)).toISOString(),
  };
}

function beatSettings(config: Config, maxIntervalSeconds: number | undefined): BeatSettings {
  return {
    timeZone: config.timezone ?? (config.enableUtc ? 'UTC' : new Intl.DateTimeFormat().resolvedOptions().timeZone),
    maxIntervalSeconds: maxIntervalSeconds ?? config.beatMaxLoopInterval,
    syncEvery: config.beatSyncEvery,
    cronDeadlineSeconds: config.beatCronStartingDeadline,
  };
}
