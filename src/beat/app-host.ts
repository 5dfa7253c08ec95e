/** Beat's host made of an app: its book and settings, and its way to send. */
import type { Celery, Config } from '../app/index.ts';
import { decodeOptions } from '../canvas/index.ts';
import { currentArguments } from '../schedules/index.ts';
import type { CallOptions } from '../task/index.ts';
import type { BeatHost, BeatSettings } from './host.ts';

/** @throws {ImproperlyConfigured} listing every entry of `beatSchedule` that is wrong. */
export function appHost(app: Celery, options: { readonly maxIntervalSeconds?: number | undefined } = {}): BeatHost {
  app.beat.configure(app.config.beatSchedule);
  return {
    name: app.main,
    settings: beatSettings(app.config, options.maxIntervalSeconds),
    book: app.beat,
    send: async ({ entry, taskId }) => {
      const { args, kwargs } = currentArguments(entry);
      const given: CallOptions = decodeOptions(entry.options);
      await app.sendTask(entry.task, args, { ...given, kwargs, taskId });
    },
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
