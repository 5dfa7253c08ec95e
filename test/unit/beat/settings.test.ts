/** From the settings of an app to those of beat. */
import { afterEach, expect, it } from 'vitest';
import { appHost } from '../../../src/beat/index.ts';
import { Celery, type CeleryConfig } from '../../../src/index.ts';

const zone = process.env.TZ;
afterEach(() => {
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
});

it.each<[CeleryConfig, string]>([
  [{}, 'UTC'],
  [{ enableUtc: false }, 'Asia/Tokyo'],
  [{ enableUtc: false, timezone: 'Europe/Paris' }, 'Europe/Paris'],
  [{ timezone: 'Europe/Paris' }, 'Europe/Paris'],
])('on a host in Tokyo %o lets crontabs count in %s', (settings, wanted) => {
  process.env.TZ = 'Asia/Tokyo';
  expect(appHost(new Celery('beat', settings)).settings.timeZone).toBe(wanted);
});

it('goes by beatMaxLoopInterval, beatSyncEvery and beatCronStartingDeadline, the command line before them', () => {
  const app = new Celery('beat', { beatMaxLoopInterval: 7, beatSyncEvery: 3, beatCronStartingDeadline: 60 });
  expect(appHost(app).settings).toMatchObject({ maxIntervalSeconds: 7, syncEvery: 3, cronDeadlineSeconds: 60 });
  expect(appHost(app, { maxIntervalSeconds: 1 }).settings.maxIntervalSeconds).toBe(1);
});
