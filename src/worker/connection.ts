/** The connection a worker consumes by: how long it is tried, and what is said of its life. */
import type { Connection, ConnectionOptions } from '../amqp/index.ts';
import { type Celery, connectionOptions } from '../app/index.ts';
import type { Logger } from '../core/system.ts';

/** A worker that was told to retry does so without end; told not to, one loss ends it. */
export function consumingOptions(app: Celery, nodeName: string): ConnectionOptions {
  const { config } = app;
  const limit = config.brokerConnectionMaxRetries;
  const forever = limit === undefined || limit === 0 ? {} : { startup: limit, later: limit };
  const isRetriedAtStart = config.brokerConnectionRetryOnStartup ?? config.brokerConnectionRetry;
  return {
    ...connectionOptions(app, 'read', `celery-ts worker ${nodeName}`),
    retry: {
      longestDelayMs,
      ...forever,
      ...(isRetriedAtStart ? {} : { startup: 0 }),
      ...(config.brokerConnectionRetry ? {} : { later: 0 }),
    },
  };
}

/** A worker is back within 5 s of its broker, however long that was away. */
const longestDelayMs = 4_000;

/** Says in the log what happens to the connection. */
export function reportNews(connection: Connection, log: Logger): void {
  connection.on('retrying', ({ attempt, delayMs, error }) =>
    log.error({ attempt, delayMs: Math.round(delayMs) }, `${error.message} Trying again.`),
  );
  connection.on('lost', ({ error }) =>
    log.warn(
      { reason: error.message },
      connection.state === 'connecting'
        ? 'The connection to the broker is lost; reconnecting'
        : 'The connection to the broker is lost',
    ),
  );
  connection.on('failed', ({ message }) =>
    log.error({ reason: message }, 'The connection to the broker is given up: the worker stops'),
  );
  connection.on('open', ({ isReconnect, url }) => {
    if (isReconnect) log.info({ url }, 'Connected to the broker again');
  });
  connection.on('blocked', (reason) => log.warn({ reason }, 'The broker blocks publishing'));
  connection.on('unblocked', () => log.info('The broker takes messages again'));
}
