/** What can be wrong with a schedule. Thrown where the schedule is written down, not when its time comes. */
import { ImproperlyConfigured } from '../core/errors.ts';

/** A schedule, or a part of one, cannot be understood or never comes. Celery: `ParseException`, `ValueError`. */
export class ScheduleError extends ImproperlyConfigured {
  static override readonly name: string = 'ScheduleError';
  override readonly code: string = 'CELERY_SCHEDULE';
  override readonly excModule: string = 'celery_ts.errors';
}
