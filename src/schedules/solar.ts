/**
 * Solar events: dawns, sunrise, noon, sunset and dusks at a place. suncalc says where the sun stands; when it crosses
 * the event's altitude is solved here, so that near the poles, where it may graze the horizon or not reach it for
 * months, the event is there exactly when the sun crosses (the library's own table decides by the sun's height at noon).
 */
import { getPosition, getTimes } from 'suncalc';
import { ScheduleError } from './errors.ts';
import type { Schedule, ScheduleJson } from './schedule-port.ts';

/** Rising or setting through an altitude of the sun's centre (degrees), or its highest point. */
const events = {
  dawn_astronomical: { way: 'rising', altitude: -18, edge: 'centre' },
  dawn_nautical: { way: 'rising', altitude: -12, edge: 'centre' },
  dawn_civil: { way: 'rising', altitude: -6, edge: 'centre' },
  sunrise: { way: 'rising', altitude: -34 / 60, edge: 'upper' },
  solar_noon: { way: 'transit', altitude: 0, edge: 'centre' },
  sunset: { way: 'setting', altitude: -34 / 60, edge: 'upper' },
  dusk_civil: { way: 'setting', altitude: -6, edge: 'centre' },
  dusk_nautical: { way: 'setting', altitude: -12, edge: 'centre' },
  dusk_astronomical: { way: 'setting', altitude: -18, edge: 'centre' },
} as const satisfies Record<
  string,
  { way: 'rising' | 'setting' | 'transit'; altitude: number; edge: 'centre' | 'upper' }
>;

/** The nine events, by Celery's names. */
export type SolarEvent = keyof typeof events;

const dayMs = 86_400_000;
const stepMs = 24 * 60_000;
/** An event that the sun denies a place for months comes within a year; a little over for the leap day. */
const searchDays = 400;
/** suncalc adds this much for refraction wherever the sun is below the horizon, as it is at every event here. */
const refractionDegrees = 0.48406;
/** A local extreme this near to the altitude is looked at closely. */
const grazeDegrees = 0.2;

/** A schedule by the sun. Made by `solar()`. */
export class Solar implements Schedule {
  readonly kind = 'solar';
  readonly clock = 'wall';
  readonly event: SolarEvent;
  readonly latitude: number;
  readonly longitude: number;

  constructor(event: SolarEvent, latitude: number, longitude: number) {
    if (!Object.hasOwn(events, event)) {
      throw new ScheduleError(`There is no solar event '${event}'; there are ${Object.keys(events).join(', ')}.`);
    }
    if (!(latitude >= -90 && latitude <= 90)) throw new ScheduleError(`Latitude ${latitude} is not within -90 to 90.`);
    if (!(longitude >= -180 && longitude <= 180)) {
      throw new ScheduleError(`Longitude ${longitude} is not within -180 to 180.`);
    }
    this.event = event;
    this.latitude = latitude;
    this.longitude = longitude;
  }

  next(after: number): number | undefined {
    return events[this.event].way === 'transit' ? this.#nextNoon(after) : this.#nextCrossing(after);
  }

  toJSON(): ScheduleJson {
    return { kind: this.kind, event: this.event, latitude: this.latitude, longitude: this.longitude };
  }

  toString(): string {
    return `<solar: ${this.event} at latitude ${this.latitude}, longitude: ${this.longitude}>`;
  }

  #nextNoon(after: number): number | undefined {
    for (let day = -1; day <= 2; day += 1) {
      const { solarNoon } = getTimes(new Date(after + day * dayMs), this.latitude, this.longitude);
      const noon = Math.round(solarNoon.getTime());
      if (noon > after) return noon;
    }
    return undefined;
  }

  /**
   * Walks a fixed grid, so that an event is solved from the same bracket, to the same millisecond, whenever it is
   * asked for: nothing runs twice because a second question finds it a millisecond later.
   */
  #nextCrossing(after: number): number | undefined {
    const sign = events[this.event].way === 'rising' ? 1 : -1;
    const height = (instant: number): number => sign * this.#heightAt(instant);
    const first = Math.floor(after / stepMs) - 1;
    const steps = (searchDays * dayMs) / stepMs;
    let before = { at: (first - 1) * stepMs, height: height((first - 1) * stepMs) };
    let here = { at: first * stepMs, height: height(first * stepMs) };
    for (let index = first + 1; index <= first + steps; index += 1) {
      const then = { at: index * stepMs, height: height(index * stepMs) };
      for (const [low, high] of brackets(before, here, then, height)) {
        const instant = Math.round(root(low, high, height));
        if (instant > after) return instant;
      }
      before = here;
      here = then;
    }
    return undefined;
  }

  /** How far the sun stands above the event's altitude, degrees. */
  #heightAt(instant: number): number {
    const date = new Date(instant);
    const altitude = getPosition(date, this.latitude, this.longitude).altitude - refractionDegrees;
    const { altitude: horizon, edge } = events[this.event];
    const distance = sunDistance(instant);
    // Seen from the ground, not from the middle of the earth, the sun stands a little lower.
    const parallax = (0.002443 / distance) * Math.cos((altitude * Math.PI) / 180);
    const radius = edge === 'upper' ? 0.26656 / distance : 0;
    return altitude - parallax + radius - horizon;
  }
}

/**
 * A schedule by the sun at a place: `dawn_astronomical`, `dawn_nautical`, `dawn_civil`, `sunrise`, `solar_noon`,
 * `sunset`, `dusk_civil`, `dusk_nautical` or `dusk_astronomical`. On days without the event it waits for the next that
 * has one. Latitude is north from -90 to 90 degrees, longitude east from -180 to 180.
 *
 * @throws {ScheduleError} on an unknown event or a place that is not on earth.
 * @example solar('sunset', -37.81753, 144.96715);
 * Celery: `celery.schedules.solar`.
 */
export function solar(event: SolarEvent, latitude: number, longitude: number): Solar {
  return new Solar(event, latitude, longitude);
}

interface Sample {
  readonly at: number;
  readonly height: number;
}

/** Where the height rises through zero within three samples, grazes included; oldest first. */
function brackets(before: Sample, here: Sample, then: Sample, height: (at: number) => number): [Sample, Sample][] {
  const peak = graze(before, here, then, height);
  const points = [before, here, then, ...(peak === undefined ? [] : [peak])].sort((a, b) => a.at - b.at);
  return points.flatMap((high, index) => {
    const low = points[index - 1];
    return low !== undefined && low.height < 0 && high.height >= 0 ? [[low, high] as [Sample, Sample]] : [];
  });
}

/** The extreme between three samples on one side of zero, when it lies on the other side. */
function graze(before: Sample, here: Sample, then: Sample, height: (at: number) => number): Sample | undefined {
  const side = Math.sign(here.height);
  const towards = (sample: Sample): number => -side * sample.height;
  const isExtreme = towards(here) >= towards(before) && towards(here) >= towards(then);
  if (!isExtreme || Math.abs(here.height) > grazeDegrees) return undefined;
  let low = before.at;
  let high = then.at;
  while (high - low > 1000) {
    const third = (high - low) / 3;
    if (-side * height(low + third) < -side * height(high - third)) low += third;
    else high -= third;
  }
  const at = (low + high) / 2;
  const found = { at, height: height(at) };
  return Math.sign(found.height) === side ? undefined : found;
}

function root(low: Sample, high: Sample, height: (at: number) => number): number {
  let from = low.at;
  let to = high.at;
  while (to - from > 0.25) {
    const middle = (from + to) / 2;
    if (height(middle) < 0) from = middle;
    else to = middle;
  }
  return to;
}

/** In astronomical units, to a thousandth. */
function sunDistance(instant: number): number {
  const days = (instant - Date.UTC(2000, 0, 1, 12)) / dayMs;
  const anomaly = ((357.529 + 0.98560028 * days) * Math.PI) / 180;
  return 1.00014 - 0.01671 * Math.cos(anomaly) - 0.00014 * Math.cos(2 * anomaly);
}
