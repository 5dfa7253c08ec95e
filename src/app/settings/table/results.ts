/** Settings of results, and of the backends that Celery ships: Redis; SQL, MongoDB and memcached, which are not here. */
import { tlsOptions } from '../broker-address.ts';
import {
  count,
  flag,
  keysBeside,
  type More,
  number,
  optional,
  options,
  seconds,
  shaped,
  text,
  texts,
} from '../setting.ts';

type Options = Readonly<Record<string, unknown>>;

const exchangeOfOld = 'Results by queue go straight to the reply queue.';
const sqlAlchemy = 'It is an option of SQLAlchemy.';
const sql: More = { noEffect: 'celery-ts has no SQL backend.' };
const noChords = 'celery-ts has no chords yet.';

const cacheMax = optional(
  count(
    -1,
    'Results of tasks without a handle in the program that are kept in memory. -1: 10,000; 0 or null: without limit.',
    { old: ['CELERY_MAX_CACHED_RESULTS'], min: -1 },
  ),
);

export const results = {
  resultAcceptContent: texts(undefined, 'Serializers that results are decoded from. Unset: `acceptContent`.', {
    old: ['CELERY_RESULT_ACCEPT_CONTENT', 'RESULT_ACCEPT_CONTENT'],
  }),
  resultBackend: text(undefined, 'URL of where results are kept: `rpc://`, `redis://…` … Unset: nowhere.', {
    old: ['CELERY_RESULT_BACKEND'],
  }),
  resultCacheMax: {
    ...cacheMax,
    parse: (...given: Parameters<typeof cacheMax.parse>) => (given[0] === null ? 0 : cacheMax.parse(...given)),
  },
  resultCompression: text(undefined, 'Compression of results in Redis, readable for Celery from 5.7 on. Unset: none.', {
    old: ['CELERY_RESULT_COMPRESSION'],
  }),
  resultExchange: text('celeryresults', 'Celery: exchange of the old AMQP backend.', {
    old: ['CELERY_RESULT_EXCHANGE'],
    noEffect: exchangeOfOld,
  }),
  resultExchangeType: text('direct', 'Celery: type of that exchange.', {
    old: ['CELERY_RESULT_EXCHANGE_TYPE'],
    noEffect: exchangeOfOld,
  }),
  resultExpires: optional(
    seconds(86_400, 'How long results are kept. 0 or null: for ever.', { old: ['CELERY_TASK_RESULT_EXPIRES'] }),
  ),
  resultPersistent: flag(undefined, 'Results by queue survive a restart of the broker.', {
    old: ['CELERY_RESULT_PERSISTENT'],
  }),
  resultExtended: flag(false, 'Keep name, args, kwargs, worker, retries and queue with each result.', {
    old: ['CELERY_RESULT_EXTENDED'],
  }),
  resultSerializer: text('json', 'Serializer of results.', { old: ['CELERY_RESULT_SERIALIZER'] }),
  resultBackendTransportOptions: options<Options>(
    {},
    'Options of the backend; for Redis `globalKeyprefix`, what its keys begin with.',
    {
      old: ['CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS'],
      idleParts: keysBeside(['globalKeyprefix'], 'no option of the backends here.'),
    },
  ),
  resultChordRetryInterval: seconds(1, 'How often a chord is looked at on backends that cannot count.', {
    old: ['CELERY_RESULT_CHORD_RETRY_INTERVAL'],
    noEffect: noChords,
  }),
  resultChordJoinTimeout: seconds(3, "How long reading the results of a chord's header may take.", {
    old: ['CELERY_RESULT_CHORD_JOIN_TIMEOUT'],
    noEffect: noChords,
  }),
  resultBackendMaxSleepBetweenRetriesMs: count(1_000, 'Longest pause between attempts to reach Redis.', {
    old: ['CELERY_RESULT_BACKEND_MAX_SLEEP_BETWEEN_RETRIES_MS'],
    unit: 'ms',
    celeryDefault: 10_000,
  }),
  resultBackendMaxRetries: number(
    Number.POSITIVE_INFINITY,
    'Attempts to reach Redis after the first, within `resultStoreTimeout`.',
    {
      old: ['CELERY_RESULT_BACKEND_MAX_RETRIES'],
      min: 0,
    },
  ),
  resultBackendBaseSleepBetweenRetriesMs: count(
    10,
    'First pause between attempts to reach Redis; each further one is twice as long.',
    {
      old: ['CELERY_RESULT_BACKEND_BASE_SLEEP_BETWEEN_RETRIES_MS'],
      unit: 'ms',
    },
  ),
  resultBackendAlwaysRetry: flag(false, 'Celery: try again after errors of the backend that may pass.', {
    old: ['CELERY_RESULT_BACKEND_ALWAYS_RETRY'],
    noEffect: 'Errors that may pass are always followed by another try, within `resultStoreTimeout`.',
  }),
  resultBackendThreadSafe: flag(false, 'Celery: one backend object for all threads.', {
    noEffect: 'A process has one backend object.',
  }),
  overrideBackends: options<Readonly<Record<string, string>>>(
    {},
    'Celery: result backends of your own: alias to class.',
    { noEffect: 'celery-ts takes no backends of your own yet.' },
  ),
} as const;

export const backends = {
  cacheBackend: text(undefined, 'Celery: memcached address of Django.', {
    old: ['CELERY_CACHE_BACKEND'],
    noEffect: 'Use `resultBackend`.',
  }),
  cacheBackendOptions: options<Options>({}, 'Celery: options of the memcached client.', {
    old: ['CELERY_CACHE_BACKEND_OPTIONS'],
    noEffect: 'celery-ts has no memcached backend.',
  }),
  mongodbBackendSettings: options<Options | undefined>(
    undefined,
    'MongoDB: `database`, `taskmetaCollection`, `groupmetaCollection`, `maxPoolSize`, `options`, `host`, `port`, `user`, `password`.',
    { old: ['CELERY_MONGODB_BACKEND_SETTINGS'], noEffect: 'celery-ts has no MongoDB backend.' },
  ),
  redisBackendUseSsl: shaped<boolean | Options | undefined>(
    'boolean | object',
    undefined,
    "TLS of the Redis backend: true, or `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`, `ssl_cert_reqs` as in Python's client; or `ca`, `cert`, `key`, `passphrase`, `servername`.",
    // Held as written: the backend reads the same names from the query of its URL.
    (value) => (typeof tlsOptions(value) === 'boolean' ? tlsOptions(value) === true : Object(value)),
    { old: ['CELERY_REDIS_BACKEND_USE_SSL'] },
  ),
  redisDb: count(undefined, 'Redis: number of the database. Old form; write it in `resultBackend`.', {
    old: ['CELERY_REDIS_DB'],
  }),
  redisHost: text(undefined, 'Redis: host. Old form; write it in `resultBackend`.', { old: ['CELERY_REDIS_HOST'] }),
  redisMaxConnections: count(undefined, 'Celery: most connections to Redis.', {
    old: ['CELERY_REDIS_MAX_CONNECTIONS'],
    noEffect: 'A backend has one connection for commands and one for subscriptions.',
  }),
  redisUsername: text(undefined, 'Redis: user. Old form; write it in `resultBackend`.', {
    old: ['CELERY_REDIS_USERNAME'],
  }),
  redisPassword: text(undefined, 'Redis: password. Old form; write it in `resultBackend`.', {
    old: ['CELERY_REDIS_PASSWORD'],
    secret: true,
  }),
  redisPort: count(undefined, 'Redis: port. Old form; write it in `resultBackend`.', {
    old: ['CELERY_REDIS_PORT'],
    min: 1,
    max: 65_535,
  }),
  redisSocketTimeout: optional(
    seconds(120, 'Redis: how long one command may take.', { old: ['CELERY_REDIS_SOCKET_TIMEOUT'] }),
  ),
  redisSocketConnectTimeout: seconds(undefined, 'Redis: how long connecting may take.', {
    old: ['CELERY_REDIS_SOCKET_CONNECT_TIMEOUT'],
  }),
  redisRetryOnTimeout: flag(false, 'Celery: send a command to Redis once more after a timeout.', {
    old: ['CELERY_REDIS_RETRY_ON_TIMEOUT'],
    noEffect: 'A command without an answer is always sent again, within `resultStoreTimeout`.',
  }),
  redisSocketKeepalive: flag(false, 'Celery: TCP keep-alive of the connections to Redis.', {
    old: ['CELERY_REDIS_SOCKET_KEEPALIVE'],
    noEffect: 'Connections to Redis always have it.',
  }),
  redisBackendHealthCheckInterval: seconds(
    undefined,
    'Redis: how often each connection is asked whether it still answers; 0: never. Unset: every 30 s the one that hears of results.',
  ),
  redisBackendCredentialProvider: shaped<unknown>(
    'function | string',
    undefined,
    'Redis: a function (or an object with `getCredentials`) that gives user and password before each connection, or `module:export` of one.',
    (value) => value,
    { secret: true },
  ),
  redisClientName: text(undefined, 'Redis: name of the client as the server shows it.'),
  databaseUrl: text(undefined, 'Celery: address of the SQL backend.', {
    ...sql,
    old: ['CELERY_RESULT_DBURI'],
  }),
  databaseEngineOptions: options<Options>({ poolPrePing: true, poolRecycle: 3600 }, 'Celery: options of SQLAlchemy.', {
    old: ['CELERY_RESULT_ENGINE_OPTIONS'],
    noEffect: sqlAlchemy,
  }),
  databaseEngineCallback: shaped<unknown>(
    'function | string',
    undefined,
    'Celery: called with the engine of SQLAlchemy.',
    (value) => value,
    { noEffect: sqlAlchemy },
  ),
  databaseShortLivedSessions: flag(false, 'Celery: a session per operation.', {
    old: ['CELERY_RESULT_DB_SHORT_LIVED_SESSIONS'],
    noEffect: sqlAlchemy,
  }),
  databaseTableSchemas: options<Readonly<Record<string, string>> | undefined>(
    undefined,
    'Celery: schema of the SQL tables `task` and `group`.',
    sql,
  ),
  databaseTableNames: options<Readonly<Record<string, string>> | undefined>(
    undefined,
    'Celery: names of the SQL tables `task` and `group`.',
    { ...sql, old: ['CELERY_RESULT_DB_TABLENAMES', 'CELERY_RESULT_DB_TABLE_NAMES'] },
  ),
  databaseCreateTablesAtSetup: flag(true, 'Celery: create the SQL tables at start, not at first use.', sql),
} as const;
