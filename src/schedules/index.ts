/** When things run: what other rooms may use. */
export { CronExpression } from './cron-expression.ts';
export { Crontab, type CrontabOptions, crontab } from './crontab.ts';
export { type CrontabField, crontabFields, parseCrontabField } from './crontab-field.ts';
export {
  type CatchUp,
  currentArguments,
  type Lazy,
  parseEntry,
  type ScheduleEntry,
  type ScheduleEntryInput,
} from './entry.ts';
export { ScheduleError } from './errors.ts';
export { type Duration, Interval, schedule } from './interval.ts';
export { isSchedule, parseSchedule, readSchedule, type ScheduleInput } from './parse-schedule.ts';
export { ScheduleBook, type ScheduleBookEvents } from './schedule-book.ts';
export {
  type DueState,
  firstDue,
  isDue,
  isSameSchedule,
  type Schedule,
  type ScheduleJson,
  settledAt,
} from './schedule-port.ts';
export { Solar, type SolarEvent, solar } from './solar.ts';
export { TimeZone } from './time-zone.ts';
