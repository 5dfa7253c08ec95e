/**
 * Times of day on chosen days, and where they fall in a time zone: the engine under crontabs and cron expressions.
 *
 * When clocks go forward, a skipped time runs as much after the change as it lay in the gap (02:30 becomes 03:30),
 * merged with what is due then anyway. When they go back, a pattern with chosen hours runs once, in the first pass;
 * a pattern of every hour runs in both.
 */
import type { TimeZone } from './time-zone.ts';

export interface CalendarDay {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  /** 1 to 31. */
  readonly day: number;
  /** 0 is Sunday. */
  readonly weekday: number;
}

/** Which wall times match. The lists are sorted and not empty. */
export interface WallPattern {
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly months: ReadonlySet<number>;
  matchesDay(day: CalendarDay): boolean;
}

const dayMs = 86_400_000;
/** The longest wait between two matches is 40 years: a weekday on 29 February, over 2100. */
const horizonDays = 60 * 366;
/** No two offsets are further apart than this. */
const widestShiftMs = 2 * dayMs;

/** The first instant after `after` (epoch ms) at which the pattern matches in the zone; undefined: never. */
export function nextMatch(pattern: WallPattern, after: number, zone: TimeZone): number | undefined {
  const isEveryHour = pattern.hours.length === 24;
  let from = after + 1;
  for (;;) {
    const { start, end, offset, previousOffset } = zone.stretchAt(from);
    const shift = offset - previousOffset;
    const low = shift < 0 && !isEveryHour ? Math.max(from, start - shift) : from;
    const wall = nextWallMatch(pattern, low + offset);
    const regular = wall !== undefined && wall - offset < end ? wall - offset : undefined;
    const skipped = shift > 0 && from < start + shift ? nextWallMatch(pattern, from + previousOffset) : undefined;
    if (skipped !== undefined && skipped < start + offset) {
      const instant = skipped - previousOffset;
      return regular === undefined ? instant : Math.min(instant, regular);
    }
    if (regular !== undefined) return regular;
    // Far from the end of the stretch, what was not found in it cannot lie shortly after it either.
    const isSettled = low < end - widestShiftMs;
    if (wall === undefined && isSettled) return undefined;
    from = isSettled && wall !== undefined ? Math.max(end, wall - offset - widestShiftMs) : end;
  }
}

/** The first matching wall time at or after `from`, both written as if they were UTC. */
function nextWallMatch(pattern: WallPattern, from: number): number | undefined {
  const first = Math.floor(from / dayMs);
  let second = Math.ceil((from - first * dayMs) / 1000);
  for (let day = first; day < first + horizonDays; ) {
    const date = new Date(day * dayMs);
    const month = date.getUTCMonth() + 1;
    if (!pattern.months.has(month)) {
      day = Date.UTC(date.getUTCFullYear(), month, 1) / dayMs;
      second = 0;
      continue;
    }
    const calendarDay = { year: date.getUTCFullYear(), month, day: date.getUTCDate(), weekday: date.getUTCDay() };
    if (pattern.matchesDay(calendarDay)) {
      const found = nextSecondOfDay(pattern, second);
      if (found !== undefined) return day * dayMs + found * 1000;
    }
    day += 1;
    second = 0;
  }
  return undefined;
}

function nextSecondOfDay(pattern: WallPattern, from: number): number | undefined {
  for (const hour of pattern.hours) {
    if ((hour + 1) * 3600 <= from) continue;
    for (const minute of pattern.minutes) {
      const base = hour * 3600 + minute * 60;
      if (base + 60 <= from) continue;
      for (const second of pattern.seconds) {
        if (base + second >= from) return base + second;
      }
    }
  }
  return undefined;
}

/** Days of a month, leap years counted. */
export function daysInMonth(year: number, month: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}
