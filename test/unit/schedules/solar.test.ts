/** Solar events against an independent table (test/fixtures/schedules, by PyEphem), and at the poles. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type SolarEvent, solar } from '../../../src/schedules/index.ts';

interface Table {
  readonly cities: Readonly<Record<string, City>>;
}
interface City {
  readonly latitude: number;
  readonly longitude: number;
  readonly events: Readonly<Record<SolarEvent, readonly number[]>>;
}

const table: Table = JSON.parse(
  readFileSync(new URL('../../fixtures/schedules/solar-table.json', import.meta.url), 'utf8'),
);
const names = Object.keys(Object.values(table.cities)[0]?.events ?? {}) as SolarEvent[];
const start = Date.UTC(2026, 0, 1);
const end = Date.UTC(2027, 0, 1);

describe('a solar schedule', () => {
  for (const [city, { latitude, longitude, events }] of Object.entries(table.cities)) {
    it(`meets all nine events of a year in ${city} within 60 s, and invents none`, () => {
      const worst = names.map((event) => {
        const found = eventsOf(event, latitude, longitude, start, end);
        expect(found, event).toHaveLength(events[event].length);
        return Math.max(...found.map((instant, index) => Math.abs(instant / 1000 - (events[event][index] ?? 0))));
      });
      expect(Math.max(...worst)).toBeLessThan(60);
    });
  }

  it('is within five seconds of the table where the sun rises steeply', () => {
    const { latitude, longitude, events } = table.cities.Quito ?? expect.fail('no Quito');
    for (const event of names) {
      const found = eventsOf(event, latitude, longitude, start, end);
      for (const [index, instant] of found.entries()) {
        expect(Math.abs(instant / 1000 - (events[event][index] ?? 0)), event).toBeLessThan(5);
      }
    }
  });

  it('waits through the midnight sun and the polar night for the next day that has the event', () => {
    const sunset = solar('sunset', 69.6492, 18.9553);
    expect(day(sunset.next(Date.parse('2026-06-10T00:00:00Z')))).toBe('2026-07-25');
    const sunrise = solar('sunrise', 69.6492, 18.9553);
    expect(day(sunrise.next(Date.parse('2026-12-10T00:00:00Z')))).toBe('2027-01-15');
  });

  it('knows the one sunrise and the one sunset of a year at the poles', () => {
    const rises = eventsOf('sunrise', 90, 0, start, end).map(day);
    const sets = eventsOf('sunset', 90, 0, start, end).map(day);
    expect([rises, sets]).toEqual([['2026-03-18'], ['2026-09-25']]);
    expect(eventsOf('sunrise', -90, 0, start, end)).toHaveLength(1);
    expect(eventsOf('solar_noon', -90, 0, start, end)).toHaveLength(365);
  });

  it('gives one event one instant, from wherever it is asked for', () => {
    const sunset = solar('sunset', -37.81753, 144.96715);
    const due = sunset.next(Date.parse('2026-11-20T00:00:00Z')) ?? expect.fail('no sunset');
    for (let before = 1; before < 86_000_000; before = before * 3 + 1) expect(sunset.next(due - before)).toBe(due);
    expect(sunset.next(due)).toBeGreaterThan(due + 23 * 3_600_000);
  });

  it('counts eastwards and westwards from Greenwich', () => {
    const noon = (longitude: number): number => solar('solar_noon', 0, longitude).next(Date.UTC(2026, 2, 1)) ?? 0;
    expect(noon(0) - noon(90)).toBeCloseTo(6 * 3_600_000, -5);
    expect(new Date(noon(179.9)).getUTCDate()).toBe(1);
    expect(new Date(noon(-179.9)).getUTCDate()).toBe(1);
  });

  it('is refused off the earth and without an event', () => {
    expect(() => solar('sunset', 90.1, 0)).toThrow(/Latitude 90.1 is not within -90 to 90/);
    expect(() => solar('sunset', 0, -181)).toThrow(/Longitude -181/);
    expect(() => solar('sunset', Number.NaN, 0)).toThrow(/Latitude NaN/);
    expect(() => solar('moonrise' as SolarEvent, 0, 0)).toThrow(
      /no solar event 'moonrise'; there are dawn_astronomical/,
    );
    expect(() => solar('toString' as SolarEvent, 0, 0)).toThrow(/no solar event/);
  });
});

function eventsOf(event: SolarEvent, latitude: number, longitude: number, from: number, to: number): number[] {
  const schedule = solar(event, latitude, longitude);
  const found: number[] = [];
  for (let at = schedule.next(from - 1); at !== undefined && at < to; at = schedule.next(at)) found.push(at);
  return found;
}

function day(instant: number | undefined): string {
  return new Date(instant ?? 0).toISOString().slice(0, 10);
}
