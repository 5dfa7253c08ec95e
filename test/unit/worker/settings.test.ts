/** From the settings to the options of a worker's connection, its pool and its tasks. */
import { describe, expect, it } from 'vitest';
import type { CeleryConfig } from '../../../src/app/settings.ts';
import { Celery } from '../../../src/index.ts';
import { definition } from '../../../src/task/index.ts';
import { consumingOptions } from '../../../src/worker/connection.ts';
import { poolOptions } from '../../../src/worker/pool-options.ts';

const appWith = (settings: CeleryConfig): Celery => new Celery('shop', settings);

describe("a worker's connection", () => {
  const retry = (settings: CeleryConfig) => consumingOptions(appWith(settings), 'w1@h').retry;

  it('is tried without end, at the start as after a loss', () => {
    expect(retry({})).toEqual({ longestDelayMs: 4000 });
    expect(retry({ brokerConnectionMaxRetries: 0 })).toEqual({ longestDelayMs: 4000 });
  });

  it('is given up after brokerConnectionMaxRetries', () => {
    expect(retry({ brokerConnectionMaxRetries: 3 })).toMatchObject({ startup: 3, later: 3 });
  });

  it('is tried once without brokerConnectionRetry, and once at the start without brokerConnectionRetryOnStartup', () => {
    expect(retry({ brokerConnectionRetry: false })).toMatchObject({ startup: 0, later: 0 });
    expect(retry({ brokerConnectionRetryOnStartup: false })).toMatchObject({ startup: 0 });
    expect(retry({ brokerConnectionRetryOnStartup: false })).not.toHaveProperty('later');
    const onlyAtStart = retry({ brokerConnectionRetry: false, brokerConnectionRetryOnStartup: true });
    expect(onlyAtStart).toEqual({ longestDelayMs: 4000, later: 0 });
  });
});

describe("a worker's pool", () => {
  it('has limits, patience and output of the settings', () => {
    const settings: CeleryConfig = {
      workerMaxTasksPerChild: 5,
      workerMaxMemoryPerChild: 90_000,
      workerProcAliveTimeout: 11,
      workerLostWait: 12,
      taskTimeLimit: 60,
      taskSoftTimeLimit: 50,
      workerRedirectStdouts: false,
      worker_redirect_stdouts_level: 'critical',
      workerAsyncSlots: 6,
    };
    expect(poolOptions(appWith(settings), { nodeName: 'w1@h' }, 3, 'none')).toMatchObject({
      size: 3,
      maxTasksPerChild: 5,
      maxMemoryPerChild: 90_000,
      procAliveTimeoutSeconds: 11,
      lostWaitSeconds: 12,
      timeLimitSeconds: 60,
      softTimeLimitSeconds: 50,
      redirectStdouts: false,
      redirectStdoutsLevel: 'fatal',
      asyncSlots: 6,
    });
  });

  it('logs what tasks write at warn unless workerRedirectStdoutsLevel says otherwise', () => {
    const level = (settings: CeleryConfig) =>
      poolOptions(appWith(settings), { nodeName: 'w1@h' }, 1, 'none').redirectStdoutsLevel;
    expect([level({}), level({ workerRedirectStdoutsLevel: 'INFO' })]).toEqual(['warn', 'info']);
    expect(() => appWith({ workerRedirectStdoutsLevel: 'LOUD' })).toThrow("must be one of 'DEBUG', 'INFO', 'WARNING'");
  });
});

describe('a task without options of its own', () => {
  const resolved = (settings: CeleryConfig, options: object = {}) => {
    const app = appWith(settings);
    return app.task('t', { ...options, bind: false }, () => 1)[definition].resolved();
  };

  it('has those of the settings', () => {
    const settings: CeleryConfig = {
      taskAcksLate: false,
      taskAcksOnFailureOrTimeout: false,
      taskRejectOnWorkerLost: false,
      taskIgnoreResult: true,
      taskStoreErrorsEvenIfIgnored: true,
      taskStoreEagerResult: true,
      taskTrackStarted: true,
      taskTimeLimit: 60,
      taskSoftTimeLimit: 50,
      taskDefaultRateLimit: '10/m',
    };
    const wanted = {
      acksLate: false,
      acksOnFailure: false,
      acksOnTimeout: false,
      rejectOnWorkerLost: false,
      ignoreResult: true,
      storeErrorsEvenIfIgnored: true,
      storeEagerResult: true,
      trackStarted: true,
      timeLimit: 60,
      softTimeLimit: 50,
      rateLimit: '10/m',
    };
    expect(resolved(settings)).toMatchObject(wanted);
    expect(resolved({})).toMatchObject({
      acksLate: true,
      acksOnFailure: true,
      acksOnTimeout: true,
      rejectOnWorkerLost: true,
      ignoreResult: false,
      storeErrorsEvenIfIgnored: false,
      storeEagerResult: false,
      trackStarted: false,
      timeLimit: undefined,
      softTimeLimit: undefined,
      rateLimit: undefined,
    });
  });

  it('lets one be told apart: failures and timeouts, and options of the task over those of the settings', () => {
    const settings: CeleryConfig = { taskAcksOnFailureOrTimeout: false, taskAcksOnTimeout: true };
    expect(resolved(settings)).toMatchObject({ acksOnFailure: false, acksOnTimeout: true });
    const own = resolved({ taskTimeLimit: 60, taskAcksLate: false }, { timeLimit: 5, acksLate: true });
    expect(own).toMatchObject({ timeLimit: 5, acksLate: true });
  });
});
