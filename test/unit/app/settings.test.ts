import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Exchange, Queue } from '../../../src/amqp/index.ts';
import {
  argumentsSource,
  brokerTls,
  brokerUrls,
  type CeleryConfig,
  celeryNames,
  environmentSource,
  oldNames,
  parseConfig,
  parseSource,
  resolveConfig,
  type SettingName,
  settingNames,
  settingOf,
  snakeCase,
} from '../../../src/app/settings.ts';
import { ImproperlyConfigured } from '../../../src/core/errors.ts';

interface Row {
  readonly name: string;
  readonly camel: SettingName;
  readonly old_names: readonly string[];
  readonly type: string;
  readonly default: unknown;
  readonly in_seeds: boolean;
}

const spec = JSON.parse(readFileSync(new URL('../../spec/config.json', import.meta.url), 'utf8'));
const rows: readonly Row[] = spec.settings;

/** A value for each setting of the manual's list, in Python's way of writing it where it has one. */
const samples: Partial<Record<SettingName, unknown>> = {
  acceptContent: ['json', 'yaml'],
  enableUtc: false,
  imports: ['proj.tasks'],
  include: ['proj.more'],
  timezone: 'Europe/London',
  beatMaxLoopInterval: 5,
  beatSchedule: { every: { task: 'tasks.add', schedule: 30, args: [1, 1] } },
  beatScheduler: './scheduler.ts:Mine',
  beatScheduleFilename: '/var/run/beat',
  beatSyncEvery: 1,
  brokerUrl: 'amqp://me:secret@rabbit//',
  brokerTransportOptions: { confirmPublish: false },
  brokerConnectionTimeout: 7,
  brokerConnectionRetry: false,
  brokerConnectionMaxRetries: 3,
  brokerLoginMethod: 'AMQPLAIN',
  brokerPoolLimit: 2,
  brokerUseSsl: true,
  mongodbBackendSettings: { database: 'celery' },
  eventQueueExpires: 30,
  eventQueueTtl: 2,
  eventQueuePrefix: 'mine',
  eventSerializer: 'yaml',
  redisBackendUseSsl: true,
  redisDb: 1,
  redisHost: 'redis',
  redisMaxConnections: 20,
  redisUsername: 'me',
  redisPassword: 'secret',
  redisPort: 6380,
  resultBackend: 'rpc://',
  resultCacheMax: 100,
  resultCompression: 'zlib',
  resultExpires: 3600,
  resultPersistent: true,
  resultSerializer: 'yaml',
  resultBackendTransportOptions: { masterName: 'mymaster' },
  taskAcksLate: false,
  taskAcksOnFailureOrTimeout: false,
  taskAlwaysEager: true,
  taskAnnotations: { 'tasks.add': { rateLimit: '10/s' } },
  taskCompression: 'gzip',
  taskCreateMissingQueues: false,
  taskDefaultDeliveryMode: 1,
  taskDefaultQueue: 'standard',
  taskDefaultExchange: 'standard',
  taskDefaultExchangeType: 'topic',
  taskDefaultRoutingKey: 'standard',
  taskDefaultRateLimit: '100/m',
  taskIgnoreResult: true,
  taskPublishRetry: false,
  taskPublishRetryPolicy: { maxRetries: 5, intervalStart: 0, intervalStep: 0.2, intervalMax: 0.2 },
  taskQueues: { cpubound: { exchange: 'cpubound', routingKey: 'cpubound' } },
  taskRemoteTracebacks: true,
  taskRoutes: { 'tasks.add': 'low-priority' },
  taskSerializer: 'yaml',
  taskSoftTimeLimit: 50,
  taskTimeLimit: 60,
  taskTrackStarted: true,
  workerConcurrency: 8,
  workerDisableRateLimits: true,
  workerEnableRemoteControl: false,
  workerHijackRootLogger: false,
  workerLogColor: false,
  workerLogFormat: '%(message)s',
  workerLostWait: 20,
  workerMaxTasksPerChild: 100,
  workerPoolRestarts: true,
  workerPrefetchMultiplier: 1,
  workerRedirectStdouts: false,
  workerRedirectStdoutsLevel: 'INFO',
  workerSendTaskEvents: true,
  workerTaskLogFormat: '%(message)s',
};

/** Where our default is another than Celery's, on purpose. */
const departures: Partial<Record<SettingName, unknown>> = {
  taskAcksLate: true,
  taskRejectOnWorkerLost: true,
  brokerHeartbeat: 30,
  brokerConnectionMaxRetries: undefined,
  resultBackendMaxSleepBetweenRetriesMs: 1_000,
};

function problemsOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ImproperlyConfigured) return error.message;
    throw error;
  }
  throw new Error('It was accepted.');
}

describe('the table', () => {
  it.each(rows.map((row) => [row.name, row] as const))('has %s under every name Celery knows it by', (_, row) => {
    expect(settingNames).toContain(row.camel);
    expect(snakeCase(row.camel)).toBe(row.name);
    expect(oldNames(row.camel)).toEqual(expect.arrayContaining([...row.old_names]));
  });

  it('has the default of every row of Celery, but for the departures', () => {
    const config: Record<string, unknown> = parseConfig();
    for (const row of rows) {
      const theirs = pythonDefault(row.default);
      if (row.camel in departures) {
        expect([row.camel, config[row.camel]]).toEqual([row.camel, departures[row.camel]]);
        expect(config[row.camel]).not.toEqual(theirs);
      } else {
        expect([row.camel, config[row.camel]]).toEqual([row.camel, theirs]);
      }
    }
  });

  it('has ours beside them', () => {
    expect(parseConfig()).toMatchObject({
      publishTimeout: 30,
      shutdownTimeout: 10,
      resultStoreTimeout: 60,
      taskCrashLimit: 3,
      taskDelayedDelivery: 'broker',
      taskMaxHeldDelay: 2,
      reliability: 'at-least-once',
      workerAsyncSlots: 1,
      workerMaxBodyBytes: 16 * 1024 * 1024,
      workerMaxDecompressedBytes: 64 * 1024 * 1024,
      workerMaxJsonDepth: 512,
      workerControlAllow: undefined,
      workerHealthPort: undefined,
      workerHealthHost: '127.0.0.1',
      securitySignedHeaders: 'sign',
      securityMaxAge: undefined,
    });
    expect(settingNames).toHaveLength(rows.length + 16);
  });

  it('takes its own defaults as values', () => {
    const defaults = Object.fromEntries(Object.entries(parseConfig()).filter(([, value]) => value !== undefined));
    expect(parseConfig({ ...defaults, taskQueues: [new Queue('celery')] })).toMatchObject(defaults);
  });

  it('says no name twice', () => {
    const names = settingNames.flatMap((name) => [...new Set([name, snakeCase(name), ...oldNames(name)])]);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  it('cannot be changed through a configuration', () => {
    expect(() => Object.assign(parseConfig(), { taskAcksLate: false })).toThrow(TypeError);
    expect(parseConfig().taskAcksLate).toBe(true);
  });
});

describe('three spellings', () => {
  const seeds = rows.filter((row) => row.in_seeds);

  it('covers the settings of the manual', () => {
    expect(seeds).toHaveLength(73);
    for (const row of seeds) expect(samples).toHaveProperty(row.camel);
    for (const row of seeds) expect(parseConfig()[row.camel]).not.toEqual(samples[row.camel]);
  });

  it('yields one configuration from camelCase, snake_case, every old name, and a namespace', () => {
    const given = (spell: (row: Row) => string): Record<string, unknown> =>
      Object.fromEntries(seeds.map((row) => [spell(row), samples[row.camel]]));
    const camel = parseConfig(given((row) => row.camel));
    for (const row of seeds) expect([row.camel, camel[row.camel]]).toEqual([row.camel, samples[row.camel]]);
    expect(parseConfig(given((row) => row.name))).toEqual(camel);
    expect(parseConfig(given((row) => row.old_names[0] ?? ''))).toEqual(camel);
    expect(parseConfig(given((row) => row.old_names.at(-1) ?? ''))).toEqual(camel);
    expect(
      parseConfig(
        given((row) => `CELERY_${row.name.toUpperCase()}`),
        { namespace: 'CELERY' },
      ),
    ).toEqual(camel);
    expect(
      parseConfig(
        given((row) => `celery_${row.name}`),
        { namespace: 'celery' },
      ),
    ).toEqual(camel);
  });

  it('takes snake_case inside options too, and holds camelCase', () => {
    const config = parseConfig({
      task_publish_retry_policy: { max_retries: 5, interval_step: 0.1 },
      broker_transport_options: { confirm_publish: true, client_properties: { my_app: 'x' } },
    });
    expect(config.taskPublishRetryPolicy).toEqual({ maxRetries: 5, intervalStep: 0.1 });
    expect(config.brokerTransportOptions).toEqual({ confirmPublish: true, clientProperties: { my_app: 'x' } });
  });

  it('refuses a setting that is given in two of them, naming both', () => {
    expect(problemsOf(() => parseConfig({ taskAcksLate: true, task_acks_late: true }))).toBe(
      "Setting 'taskAcksLate' and 'task_acks_late' are the same setting: give it once",
    );
    expect(problemsOf(() => parseConfig({ broker: 'amqp://a', BROKER_URL: 'amqp://b' }))).toContain(
      "'broker' and 'BROKER_URL'",
    );
  });

  it('takes broker and backend for short', () => {
    expect(parseConfig({ broker: 'amqp://rabbit', backend: 'rpc://' })).toMatchObject({
      brokerUrl: 'amqp://rabbit',
      resultBackend: 'rpc://',
    });
  });
});

describe('a namespace', () => {
  const django = {
    DEBUG: true,
    SECRET_KEY: 'not ours',
    DATABASES: { default: { ENGINE: 'django.db.backends.postgresql' } },
    INSTALLED_APPS: ['django.contrib.admin', 'shop'],
    TIME_ZONE: 'Europe/Paris',
    EMAIL_TIMEOUT: 'sometimes',
    S3_BUCKET: 'media',
    CELERY_BROKER_URL: 'amqp://shop:secret@rabbit:5672/shop',
    CELERY_RESULT_BACKEND: 'rpc://',
    CELERY_ACCEPT_CONTENT: ['json'],
    CELERY_TASK_SERIALIZER: 'json',
    CELERY_TIMEZONE: 'Europe/Paris',
    CELERY_TASK_TRACK_STARTED: true,
    CELERY_TASK_TIME_LIMIT: 30 * 60,
    CELERY_TASK_ROUTES: { 'shop.tasks.invoice': { queue: 'billing' } },
    CELERY_BEAT_SCHEDULE: { nightly: { task: 'shop.tasks.nightly', schedule: 3600 } },
    CELERY_TASK_ACKS_LATE: false,
    CELERYD_CONCURRENCY: 3,
  };

  it("reads a Django project's settings and leaves its other settings alone", () => {
    const { config, given } = resolveConfig([{ settings: django, namespace: 'CELERY' }]);
    expect(config).toMatchObject({
      brokerUrl: 'amqp://shop:secret@rabbit:5672/shop',
      resultBackend: 'rpc://',
      timezone: 'Europe/Paris',
      taskTrackStarted: true,
      taskTimeLimit: 1800,
      taskRoutes: { 'shop.tasks.invoice': { queue: 'billing' } },
      taskAcksLate: false,
      workerConcurrency: 3,
      s3Bucket: undefined,
    });
    expect(given.size).toBe(11);
  });

  it('takes an old name under it as well', () => {
    expect(parseConfig({ CELERY_ACKS_LATE: false }, { namespace: 'CELERY' }).taskAcksLate).toBe(false);
  });

  it('refuses an unknown name under it, in its spelling', () => {
    expect(problemsOf(() => parseConfig({ CELERY_TASK_ACK_LATE: true }, { namespace: 'CELERY' }))).toBe(
      "Setting 'CELERY_TASK_ACK_LATE' is unknown; did you mean 'CELERY_TASK_ACKS_LATE'?",
    );
  });
});

describe('problems', () => {
  it('are listed all at once, each with the nearest known name', () => {
    const problems = problemsOf(() =>
      parseConfig({
        taskAckLate: true,
        worker_concurency: 2,
        CELERY_ACK_LATE: true,
        WORKER_CONCURRENCY: 2,
        workerPrefetchMultiplier: 'lots',
        colour: 'green',
      }),
    );
    expect(problems.split('\n')).toEqual([
      '6 settings cannot be used:',
      "  'taskAckLate' is unknown; did you mean 'taskAcksLate'?",
      "  'worker_concurency' is unknown; did you mean 'worker_concurrency'?",
      "  'CELERY_ACK_LATE' is unknown; did you mean 'CELERY_ACKS_LATE'?",
      "  'WORKER_CONCURRENCY' is unknown; did you mean 'workerConcurrency'?",
      "  'workerPrefetchMultiplier' must be a whole number, not 'lots'",
      "  'colour' is unknown",
    ]);
  });

  it('name the source', () => {
    const sources = [{ settings: { taskAcksLate: 'perhaps' }, from: './celeryconfig.ts' }];
    expect(problemsOf(() => resolveConfig(sources))).toBe(
      "Setting 'taskAcksLate' must be true or false, not 'perhaps' (in ./celeryconfig.ts)",
    );
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['a negative count', { workerConcurrency: 0 }, "'workerConcurrency' must be 1 or more, not 0"],
    ['a fraction of a count', { workerConcurrency: 1.5 }, "'workerConcurrency' must be a whole number, not 1.5"],
    ['a duration that is none', { taskTimeLimit: 'soon' }, "'taskTimeLimit' must be a number of seconds"],
    ['a negative duration', { taskTimeLimit: -1 }, "'taskTimeLimit' must be 0 or more, not -1"],
    ['NaN', { taskTimeLimit: Number.NaN }, "'taskTimeLimit' must be a number of seconds"],
    ['a priority beyond AMQP', { taskDefaultPriority: 256 }, "'taskDefaultPriority' must be 255 or less, not 256"],
    ['a list of numbers', { acceptContent: [1] }, "'acceptContent' must be a list of texts, not a list of 1"],
    [
      'a word that is no choice',
      { taskDefaultQueueType: 'stream' },
      "must be one of 'classic', 'quorum', not 'stream'",
    ],
    ['a time zone that is none', { timezone: 'Mars/Base' }, "'timezone' must be a time zone of the IANA database"],
    [
      'a rate that is none',
      { taskDefaultRateLimit: '10/year' },
      "'taskDefaultRateLimit' must be a rate such as '10/s'",
    ],
    ['null where there is no unset', { taskDefaultQueue: null }, "'taskDefaultQueue' must be text, not null"],
    ['a number for yes', { taskAcksLate: 1 }, "'taskAcksLate' must be true or false, not 1"],
    ['a queue that is a number', { taskQueues: [1] }, "must be a list of queues, each new Queue('name', { … }), not 1"],
    ['a beat entry without a task', { beatSchedule: { x: { schedule: 1 } } }, "entries with a task; 'x' is"],
    ['both flags of a queue', { controlQueueExclusive: true, controlQueueDurable: true }, 'cannot both be true'],
  ])('are found for %s', (_, given, problem) => {
    expect(problemsOf(() => parseConfig(given))).toContain(problem);
  });

  it('never show a secret', () => {
    const problems = problemsOf(() =>
      parseConfig({ brokerUrl: 'redis://:hunter2@cache/0', redisPassword: 12345, resultBackend: 7 }),
    );
    expect(problems).not.toContain('hunter2');
    expect(problems).not.toContain('12345');
  });

  it('are found in what is no object at all', () => {
    const notObjects: unknown[] = ['amqp://', 7, null, []];
    for (const given of notObjects) {
      expect(problemsOf(() => parseConfig(given as CeleryConfig))).toBe('Settings must be an object.');
    }
  });

  it('leave helpers of a config module alone', () => {
    const module = { __esModule: true, default: {}, helper: () => 1, brokerUrl: 'amqp://rabbit' };
    expect(parseConfig(module).brokerUrl).toBe('amqp://rabbit');
  });

  it('are not made of keys such as __proto__', () => {
    const given = JSON.parse('{"__proto__": {"taskAcksLate": false}, "constructor": 1, "taskTimeLimit": 3}');
    expect(problemsOf(() => parseConfig(given))).toContain("'__proto__' is unknown");
    expect(problemsOf(() => parseConfig(given))).toContain("'constructor' is unknown");
  });
});

describe('brokers', () => {
  it.each(['redis://localhost', 'sqs://', 'memory://', 'kafka://h', 'db+sqlite:///x', 'filesystem://'])(
    'refuses the transport of %s by name',
    (url) => {
      expect(problemsOf(() => parseConfig({ brokerUrl: url }))).toContain('must be an AMQP address (amqp://, amqps://');
      expect(problemsOf(() => parseConfig({ brokerUrl: ['amqp://ok', url] }))).toContain(
        `celery-ts has no '${url.split(':')[0]}' transport`,
      );
    },
  );

  it.each([
    ['a URL', { brokerUrl: 'amqp://a' }, ['amqp://a']],
    ['a list', { brokerUrl: ['pyamqp://a', 'amqps://b'] }, ['amqp://a', 'amqps://b']],
    ['semicolons', { brokerUrl: 'librabbitmq://a;amqp+ssl://b' }, ['amqp://a', 'amqps://b']],
    ['a host alone', { brokerUrl: 'rabbit:5673' }, ['amqp://rabbit:5673']],
    ['nothing', {}, ['amqp://guest:guest@localhost:5672//']],
    [
      'the split settings of old',
      { BROKER_HOST: 'rabbit', BROKER_USER: 'me', BROKER_PASSWORD: 'p@ss', BROKER_VHOST: 'app' },
      ['amqp://me:p%40ss@rabbit:5672/app'],
    ],
  ])('reads %s', (_, given, urls) => {
    expect(brokerUrls(parseConfig(given), 'write')).toEqual(urls);
  });

  it('tells reading from writing', () => {
    const config = parseConfig({ brokerUrl: 'amqp://both', brokerReadUrl: 'amqp://reader' });
    expect(brokerUrls(config, 'read')).toEqual(['amqp://reader']);
    expect(brokerUrls(config, 'write')).toEqual(['amqp://both']);
  });

  it("takes Python's names of TLS options", () => {
    const config = parseConfig({
      broker_use_ssl: { keyfile: 'k.pem', certfile: 'c.pem', ca_certs: 'ca.pem', cert_reqs: 2 },
      redis_backend_use_ssl: { ssl_cert_reqs: 'CERT_NONE' },
    });
    expect(config.brokerUseSsl).toEqual({ key: 'k.pem', cert: 'c.pem', ca: 'ca.pem', rejectUnauthorized: true });
    expect(config.redisBackendUseSsl).toEqual({ ssl_cert_reqs: 'CERT_NONE' });
    expect(problemsOf(() => parseConfig({ broker_use_ssl: { cipher: 'x' } }))).toContain(
      "'broker_use_ssl' has no option 'cipher'; known: ca,",
    );
  });

  it('reads the files of certificates and keys, and leaves PEM texts as they are', () => {
    const folder = mkdtempSync(join(tmpdir(), 'celery-ts-tls-'));
    writeFileSync(join(folder, 'ca.pem'), 'from a file');
    const pem = '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----';
    const given = { ca: [join(folder, 'ca.pem'), pem], cert: pem, servername: 'rabbit', rejectUnauthorized: false };
    expect(brokerTls(parseConfig({ brokerUseSsl: given }))).toEqual({
      ca: [Buffer.from('from a file'), pem],
      cert: pem,
      serverName: 'rabbit',
      insecureSkipVerify: true,
    });
    rmSync(folder, { recursive: true });
    expect(problemsOf(() => brokerTls(parseConfig({ brokerUseSsl: given })))).toContain(
      "the file of 'ca' cannot be read: ENOENT",
    );
    expect([brokerTls(parseConfig()), brokerTls(parseConfig({ brokerUseSsl: true }))]).toEqual([false, true]);
  });
});

describe('values', () => {
  it('are read patiently where they are texts of the environment or the command line', () => {
    const settings = {
      taskAcksLate: 'off',
      taskTrackStarted: '1',
      workerConcurrency: '4',
      taskTimeLimit: '1.5',
      acceptContent: 'json, yaml',
      taskRoutes: '{"tasks.add": "low"}',
      taskDefaultDeliveryMode: '1',
    };
    expect(resolveConfig([{ settings, origin: 'text' }]).config).toMatchObject({
      taskAcksLate: false,
      taskTrackStarted: true,
      workerConcurrency: 4,
      taskTimeLimit: 1.5,
      acceptContent: ['json', 'yaml'],
      taskRoutes: { 'tasks.add': 'low' },
      taskDefaultDeliveryMode: 1,
    });
    expect(problemsOf(() => parseConfig({ taskAcksLate: 'off' }))).toContain('must be true or false');
  });

  it('may be lengths of time in words', () => {
    expect(
      parseConfig({ resultExpires: { days: 1, hours: 2, minutes: 3, seconds: 4, milliseconds: 500 } }).resultExpires,
    ).toBe(93_784.5);
    expect(problemsOf(() => parseConfig({ resultExpires: { fortnights: 1 } }))).toContain(
      'must be a number of seconds',
    );
  });

  it('may be a user or a mask as text or as a number', () => {
    expect(parseConfig({ workerUid: 1000, beatGid: 'staff', worker_umask: 0o27, eventsUmask: '022' })).toMatchObject({
      workerUid: '1000',
      beatGid: 'staff',
      workerUmask: '27',
      eventsUmask: '022',
    });
    expect(problemsOf(() => parseConfig({ workerUmask: '9' }))).toContain('must be an octal text');
    expect(problemsOf(() => parseConfig({ workerUid: 1.5 }))).toContain('must be a name or a number');
  });

  it('may be unset with null, where that means something', () => {
    expect(
      parseConfig({ resultExpires: null, resultCacheMax: null, taskTimeLimit: null, brokerPoolLimit: null }),
    ).toMatchObject({
      resultExpires: undefined,
      resultCacheMax: 0,
      taskTimeLimit: undefined,
      brokerPoolLimit: undefined,
    });
  });

  it('are not given when they are undefined', () => {
    const { config, given } = resolveConfig([{ settings: { taskAcksLate: undefined, taskTimeLimit: 3 } }]);
    expect(config.taskAcksLate).toBe(true);
    expect([...given]).toEqual(['taskTimeLimit']);
  });

  it('may be queues and exchanges', () => {
    const queue = new Queue('add', { exchange: new Exchange('tasks', { type: 'topic' }) });
    expect(parseConfig({ taskQueues: [queue] }).taskQueues).toEqual([queue]);
  });
});

describe('reliability', () => {
  it("puts four defaults back to Celery's at once", () => {
    expect(parseConfig({ reliability: 'celery' })).toMatchObject({
      taskAcksLate: false,
      taskRejectOnWorkerLost: false,
      brokerTransportOptions: { confirmPublish: false },
      taskDelayedDelivery: 'worker',
    });
  });

  it('leaves what is given', () => {
    const config = parseConfig({
      reliability: 'celery',
      taskAcksLate: true,
      brokerTransportOptions: { confirmPublish: true, clientProperties: {} },
    });
    expect(config.taskAcksLate).toBe(true);
    expect(config.brokerTransportOptions).toEqual({ confirmPublish: true, clientProperties: {} });
    expect(config.taskRejectOnWorkerLost).toBe(false);
    expect(
      parseConfig({ reliability: 'celery', brokerTransportOptions: { maxRetries: 1 } }).brokerTransportOptions,
    ).toEqual({
      confirmPublish: false,
      maxRetries: 1,
    });
  });
});

describe('sources', () => {
  it('count later over earlier, whatever the spelling', () => {
    const { config, given } = resolveConfig([
      { settings: { taskTimeLimit: 1, workerConcurrency: 1, taskAcksLate: false } },
      { settings: { task_time_limit: 2, CELERYD_CONCURRENCY: 2 } },
      { settings: { workerConcurrency: 3 } },
    ]);
    expect(config).toMatchObject({ taskTimeLimit: 2, workerConcurrency: 3, taskAcksLate: false });
    expect([...given].sort()).toEqual(['taskAcksLate', 'taskTimeLimit', 'workerConcurrency']);
  });

  it('have the environment over the program', () => {
    const env = {
      CELERY_BROKER_URL: 'amqp://env',
      CELERY_RESULT_BACKEND: 'redis://env',
      CELERY_BROKER_READ_URL: '',
      HOME: '/root',
    };
    const config = parseConfig(
      { brokerUrl: 'amqp://program', resultBackend: 'rpc://', brokerReadUrl: 'amqp://reader' },
      { env },
    );
    expect(config).toMatchObject({
      brokerUrl: 'amqp://env',
      resultBackend: 'redis://env',
      brokerReadUrl: 'amqp://reader',
    });
  });

  it('may be arguments of the command line, as in Celery', () => {
    const args = [
      'worker.prefetch_multiplier=2',
      '.concurrency=(int)3',
      'task_acks_late=no',
      'brokerUrl=amqp://h/?heartbeat=5',
    ];
    expect(resolveConfig([argumentsSource(args, 'worker')]).config).toMatchObject({
      workerPrefetchMultiplier: 2,
      workerConcurrency: 3,
      taskAcksLate: false,
      brokerUrl: 'amqp://h/?heartbeat=5',
    });
    expect(problemsOf(() => resolveConfig([argumentsSource(['worker.prefetch=2'], 'worker')]))).toContain(
      '(in the command line)',
    );
    expect(problemsOf(() => argumentsSource(['--verbose'], 'worker'))).toContain('write it as name=value');
  });

  it('name the environment in problems', () => {
    const env = environmentSource({ CELERY_BROKER_URL: 'kafka://h' });
    expect(problemsOf(() => resolveConfig([env]))).toContain('(in the environment)');
  });

  it('report what has no effect and what has a successor, once each', () => {
    const { noEffect, deprecated } = resolveConfig([
      {
        settings: {
          workerHijackRootLogger: false,
          cassandraTable: 't',
          taskAcksOnFailureOrTimeout: true,
          taskTimeLimit: 1,
        },
      },
      { settings: { worker_hijack_root_logger: true } },
    ]);
    expect(noEffect.map(({ name }) => name)).toEqual(['workerHijackRootLogger', 'cassandraTable']);
    expect(noEffect.map(({ why }) => why)).toContain('celery-ts has no Cassandra backend.');
    expect(deprecated).toEqual([
      { name: 'taskAcksOnFailureOrTimeout', why: 'Use `taskAcksOnFailure` and `taskAcksOnTimeout`.' },
    ]);
  });

  it('report which parts of a setting have no effect', () => {
    const { noEffect } = resolveConfig([
      {
        settings: {
          broker_transport_options: { visibility_timeout: 60, confirm_publish: true, max_retries: 1 },
          resultBackendTransportOptions: { global_keyprefix: 'app', masterName: 'm' },
        },
      },
    ]);
    expect(noEffect).toEqual([
      { name: 'brokerTransportOptions', why: '`visibilityTimeout`: no option of the AMQP connections here.' },
      { name: 'resultBackendTransportOptions', why: '`masterName`: no option of the backends here.' },
    ]);
    const whole = { brokerTransportOptions: { clientProperties: {} }, resultBackendTransportOptions: {} };
    expect(resolveConfig([{ settings: whole }]).noEffect).toEqual([]);
  });

  it('report every setting that the parity map calls not applicable or planned, and no other', () => {
    const map: Record<string, { status: string }> = JSON.parse(readFileSync('test/parity/config.json', 'utf8'));
    const idle = rows.filter(({ name }) => ['not-applicable', 'planned'].includes(map[`config:${name}`]?.status ?? ''));
    const silent = settingNames.filter((name) => settingOf(name).noEffect !== undefined);
    expect(silent.sort()).toEqual(idle.map(({ camel }) => camel).sort());
  });

  it('can be read one at a time, without defaults', () => {
    expect(parseSource({ settings: { task_time_limit: 3 } })).toEqual({ taskTimeLimit: 3 });
  });

  it("are shown under Celery's names", () => {
    expect(celeryNames({ taskAcksLate: true, s3Bucket: 'b' })).toEqual({ task_acks_late: true, s3_bucket: 'b' });
  });

  it('let durable queues be without saying that they are not exclusive', () => {
    const { config } = resolveConfig([{ settings: { eventQueueDurable: true } }]);
    expect(config).toMatchObject({ eventQueueDurable: true, eventQueueExclusive: false });
  });
});

/** A default of the spec as this language writes it. */
function pythonDefault(value: unknown): unknown {
  if (value === null) return undefined;
  if (value === 'Infinity') return Number.POSITIVE_INFINITY;
  if (typeof value === 'object' && value !== null && 'timedelta_seconds' in value) return value.timedelta_seconds;
  if (typeof value !== 'object' || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, held]) => [key.replace(/_([a-z])/g, (_, c: string) => c.toUpperCase()), held]),
  );
}

it('knows of every setting what it is for', () => {
  for (const name of settingNames) expect(settingOf(name).sentence).toMatch(/^.{10,}[.…]$/s);
});
