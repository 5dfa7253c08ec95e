/**
 * The rules of crontabs in time zones, told a second time and differently: every minute is written out as wall time by
 * the runtime and looked at. Slow and plain; what `src/schedules/wall-pattern.ts` computes must equal it.
 */

export interface ScanFields {
  readonly minute: readonly number[];
  readonly hour: readonly number[];
  readonly dayOfMonth: readonly number[];
  readonly monthOfYear: readonly number[];
  readonly dayOfWeek: readonly number[];
}

const minuteMs = 60_000;

/** Writes instants of one zone as minutes of wall time (since the epoch, as if it were UTC). */
export function wallClock(zone: string): (instant: number) => number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  });
  return (instant) => {
    const [, month, day, year, hour, minute] = /^(\d+)\/(\d+)\/(\d+), (\d+):(\d+)$/.exec(format.format(instant)) ?? [];
    return Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute)) / minuteMs;
  };
}

/** The first minute of each new offset between two instants, asked for in steps of `stepMs`. */
export function offsetChanges(zone: string, from: number, to: number, stepMs: number): number[] {
  const wall = wallClock(zone);
  const offset = (instant: number): number => wall(instant) - instant / minuteMs;
  const changes: number[] = [];
  for (let at = from; at < to; at += stepMs) {
    let low = at;
    let high = Math.min(at + stepMs, to);
    if (offset(low) === offset(high)) continue;
    while (high - low > minuteMs) {
      const middle = low + Math.floor((high - low) / minuteMs / 2) * minuteMs;
      if (offset(middle) === offset(low)) low = middle;
      else high = middle;
    }
    changes.push(high);
  }
  return changes;
}

/** The wall minute of each minute from `from` to `to`. */
export function scan(zone: string, from: number, to: number): Float64Array {
  const wall = wallClock(zone);
  return Float64Array.from({ length: (to - from) / minuteMs }, (_, index) => wall(from + index * minuteMs));
}

/**
 * When the fields match within a scanned window. A wall time met before counts again only when every hour is asked
 * for; a wall time that was jumped over counts as long after the last minute before the jump as it lay after it.
 */
export function matchesIn(walls: Float64Array, from: number, fields: ScanFields): number[] {
  const sets = {
    minute: new Set(fields.minute),
    hour: new Set(fields.hour),
    dayOfMonth: new Set(fields.dayOfMonth),
    monthOfYear: new Set(fields.monthOfYear),
    dayOfWeek: new Set(fields.dayOfWeek),
  };
  const matches = (wall: number): boolean => {
    const date = new Date(wall * minuteMs);
    return (
      sets.minute.has(date.getUTCMinutes()) &&
      sets.hour.has(date.getUTCHours()) &&
      sets.dayOfMonth.has(date.getUTCDate()) &&
      sets.monthOfYear.has(date.getUTCMonth() + 1) &&
      sets.dayOfWeek.has(date.getUTCDay())
    );
  };
  const isEveryHour = sets.hour.size === 24;
  const found = new Set<number>();
  let latest = Number.NEGATIVE_INFINITY;
  let previous = walls[0] ?? 0;
  walls.forEach((wall, index) => {
    for (let skipped = previous + 1; skipped < wall; skipped += 1) {
      if (matches(skipped)) found.add(from + (index - 1 + skipped - previous) * minuteMs);
    }
    if (matches(wall) && (isEveryHour || wall > latest)) found.add(from + index * minuteMs);
    latest = Math.max(latest, wall);
    previous = wall;
  });
  return [...found].sort((a, b) => a - b);
}
