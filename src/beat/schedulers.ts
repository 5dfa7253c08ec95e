/**
 * The schedulers by name: ours, by Celery's names and short ones, or a class of the user's (`./mine.ts:Mine`).
 */
import { loadExport } from '../app/load-module.ts';
import { ImproperlyConfigured } from '../core/errors.ts';
import { EntryScheduler } from './entry-scheduler.ts';
import type { Scheduler, SchedulerClass, SchedulerContext } from './scheduler.ts';
import { FileStore, MemoryStore } from './store.ts';

export type CreateScheduler = (context: SchedulerContext) => Scheduler;

const persistent: CreateScheduler = (context) =>
  new EntryScheduler(context, new FileStore(context.scheduleFile, context.system));
const inMemory: CreateScheduler = (context) => new EntryScheduler(context, new MemoryStore());

const schedulers: Readonly<Record<string, CreateScheduler>> = {
  persistent,
  memory: inMemory,
  'celery.beat:PersistentScheduler': persistent,
  'celery.beat.PersistentScheduler': persistent,
  'celery.beat:Scheduler': inMemory,
  'celery.beat.Scheduler': inMemory,
};

/**
 * The scheduler that `--scheduler` or the setting `beatScheduler` names.
 * @throws {ImproperlyConfigured} when its module or export is not found, or it is no scheduler class.
 */
export async function schedulerNamed(name: string, options: { readonly cwd: string }): Promise<CreateScheduler> {
  if (Object.hasOwn(schedulers, name)) return schedulers[name] ?? persistent;
  if (/^celery\.|^django_celery_beat/.test(name)) {
    throw new ImproperlyConfigured(
      `The scheduler '${name}' is Python's. Here there are 'persistent' (a schedule file), 'memory', and a class of yours: './scheduler.ts:MyScheduler'.`,
    );
  }
  const found = await loadExport(name, options);
  if (!isSchedulerClass(found)) {
    throw new ImproperlyConfigured(`The scheduler '${name}' is no class with the methods open, tick and close.`);
  }
  return (context) => new found(context);
}

function isSchedulerClass(value: unknown): value is SchedulerClass {
  if (typeof value !== 'function') return false;
  const prototype: unknown = value.prototype;
  if (typeof prototype !== 'object' || prototype === null) return false;
  return ['open', 'tick', 'close'].every(
    (method) => method in prototype && typeof Reflect.get(prototype, method) === 'function',
  );
}
