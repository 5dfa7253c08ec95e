import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Celery } from '../../../src/app/celery.ts';
import { ImproperlyConfigured } from '../../../src/core/errors.ts';
import { nodeSystem } from '../../../src/core/system.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function aFolder(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'celery-ts-settings-'));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

function anApp(files: Readonly<Record<string, string>>, env: Record<string, string> = {}): Celery {
  const cwd = aFolder(files);
  return new Celery('t', { taskTimeLimit: 1 }, { system: { ...nodeSystem(), cwd: () => cwd, env } });
}

describe('an app', () => {
  it('takes settings of a module by name when it is loaded', async () => {
    const app = anApp({
      'settings.ts': 'export const CELERY_TASK_TIME_LIMIT: number = 2;\nexport const DEBUG = true;',
    });
    app.configFromObject('settings', { namespace: 'CELERY' });
    expect(app.conf.taskTimeLimit).toBe(1);
    await app.loaded;
    expect(app.conf.taskTimeLimit).toBe(2);
  });

  it('takes the module that a variable of the environment names', async () => {
    const app = anApp({ 'prod.mjs': 'export default { task_time_limit: 3 };' }, { CELERY_CONFIG_MODULE: './prod.mjs' });
    app.configFromEnvvar('CELERY_CONFIG_MODULE');
    await app.loaded;
    expect(app.conf.taskTimeLimit).toBe(3);
    expect(() => app.configFromEnvvar('NOT_SET')).toThrow(ImproperlyConfigured);
    expect(app.configFromEnvvar('NOT_SET', { silent: true })).toBe(false);
  });

  it('has sources in their order: constructor, objects, changes, environment, flags', () => {
    const app = anApp({}, { CELERY_BROKER_URL: 'amqp://env' });
    app.conf.update({ brokerUrl: 'amqp://changed', workerConcurrency: 2 });
    app.configFromObject({ workerConcurrency: 3, taskSoftTimeLimit: 4 });
    expect(app.conf).toMatchObject({
      brokerUrl: 'amqp://env',
      workerConcurrency: 2,
      taskSoftTimeLimit: 4,
      taskTimeLimit: 1,
    });
    app.settings.setFlags({ brokerUrl: 'amqp://flag', workerConcurrency: '8' });
    expect(app.conf).toMatchObject({ brokerUrl: 'amqp://flag', workerConcurrency: 8 });
  });

  it('changes all of an update or nothing', () => {
    const app = anApp({});
    expect(() => app.conf.update({ taskTimeLimit: 9, workerConcurrency: -1 })).toThrow(
      "'workerConcurrency' must be 1 or more",
    );
    expect(app.conf.taskTimeLimit).toBe(1);
  });

  it('routes by a function that the settings name', async () => {
    const app = anApp({
      'routes.ts': "export const route = (name: string) => (name === 'slow.task' ? 'slow' : undefined);",
    });
    app.conf.taskRoutes = 'routes:route';
    await app.loaded;
    expect(app.conf.taskRoutes).toBeTypeOf('function');
    expect(app.router.route('slow.task').queue?.name).toBe('slow');
  });

  it('takes the login of Redis from a function that the settings name', async () => {
    const app = anApp({ 'login.mjs': "export const login = () => ['user', 'secret'];" });
    app.conf.redisBackendCredentialProvider = 'login:login';
    await app.loaded;
    expect(app.conf.redisBackendCredentialProvider).toBeTypeOf('function');
  });
});
