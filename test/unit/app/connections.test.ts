/** From the settings to the options of what an app opens on its broker. */
import { describe, expect, it } from 'vitest';
import { clientRetry, connectionOptions, publisherOptions } from '../../../src/app/connections.ts';
import { eventQueueOptions } from '../../../src/app/remote.ts';
import { brokerUrls, type CeleryConfig, parseConfig } from '../../../src/app/settings.ts';
import { eventQueue } from '../../../src/events/index.ts';
import { manualSystem } from '../../support/manual-system.ts';

const system = manualSystem();
const optionsOf = (settings: CeleryConfig, direction: 'read' | 'write' = 'write') =>
  connectionOptions({ config: parseConfig(settings), system }, direction, 'a name');

describe('a connection', () => {
  it('goes to brokerReadUrl for consuming and to brokerWriteUrl for publishing, else to brokerUrl', () => {
    const settings = { brokerUrl: 'amqp://both', brokerWriteUrl: 'amqp://writer', brokerReadUrl: ['amqp://r1', 'r2'] };
    expect(optionsOf(settings, 'read').urls).toEqual(['amqp://r1', 'amqp://r2']);
    expect(optionsOf(settings, 'write').urls).toEqual(['amqp://writer']);
    expect(optionsOf({ brokerUrl: 'amqp://both', brokerReadUrl: 'amqp://r1' }, 'write').urls).toEqual(['amqp://both']);
  });

  it('goes where host, port, user, password and vhost of old say, by the scheme of brokerTransport', () => {
    const parts = { brokerHost: 'h', brokerPort: 7000, brokerUser: 'u', brokerPassword: 'p/w', brokerVhost: 'v/1' };
    expect(optionsOf(parts).urls).toEqual(['amqp://u:p%2Fw@h:7000/v%2F1']);
    expect(optionsOf({ ...parts, brokerTransport: 'amqps' }).urls).toEqual(['amqps://u:p%2Fw@h:7000/v%2F1']);
    expect(optionsOf({ brokerTransport: 'amqps', brokerHost: 'h' }).urls).toEqual(['amqps://guest:guest@h:5671/%2F']);
    expect(brokerUrls(parseConfig({ brokerTransport: 'amqps', brokerUrl: 'host' }), 'read')).toEqual(['amqps://host']);
    expect(optionsOf({ ...parts, brokerUrl: 'amqp://new' }).urls).toEqual(['amqp://new']);
  });

  it('has the time limit, login, order of brokers, heartbeat and properties of the settings', () => {
    const failover = (urls: readonly string[]): Iterator<string> => urls.values();
    const settings: CeleryConfig = {
      brokerConnectionTimeout: 2,
      brokerLoginMethod: 'EXTERNAL',
      brokerFailoverStrategy: failover,
      brokerHeartbeat: 7,
      broker_transport_options: { client_properties: { team: 'billing' } },
    };
    expect(optionsOf(settings)).toMatchObject({
      connectTimeoutSeconds: 2,
      loginMethod: 'EXTERNAL',
      failover,
      heartbeatSeconds: 7,
      clientProperties: { team: 'billing' },
    });
    expect(optionsOf({ brokerFailoverStrategy: 'shuffle' }).failover).toBe('shuffle');
    expect(optionsOf({})).not.toHaveProperty('failover');
  });

  it('without heartbeats is refused, with the reason, unless brokerTransportOptions force it', () => {
    expect(() => parseConfig({ brokerHeartbeat: 0 })).toThrow("'brokerHeartbeat' must be 1 or more, not 0");
    expect(() => parseConfig({ brokerHeartbeat: 0.5 })).toThrow("'brokerHeartbeat' must be 1 or more, not 0.5");
    const forced: CeleryConfig = { brokerTransportOptions: { allowNoHeartbeat: true } };
    expect(() => parseConfig({ ...forced, brokerHeartbeat: 0.5 })).toThrow("'brokerHeartbeat' must be 1 or more");
    expect(optionsOf({ ...forced, brokerHeartbeat: 0 })).toMatchObject({ heartbeatSeconds: 0, allowNoHeartbeat: true });
    expect(optionsOf({ brokerHeartbeat: 9 })).not.toHaveProperty('allowNoHeartbeat');
  });

  it('of a caller is tried as often and as long as brokerTransportOptions say', () => {
    const retry = (brokerTransportOptions: object) => clientRetry(parseConfig({ brokerTransportOptions }));
    expect(retry({})).toEqual({ startup: 2 });
    expect(retry({ max_retries: 5, interval_start: 0.5, interval_max: 3 })).toEqual({
      startup: 5,
      firstDelayMs: 500,
      longestDelayMs: 3000,
    });
    expect(retry({ maxRetries: 0, intervalStart: 0 })).toEqual({ startup: 0 });
  });
});

describe('the publisher of tasks', () => {
  it('sends again by taskPublishRetryPolicy, and not at all without taskPublishRetry', () => {
    const policy = { max_retries: 7, interval_start: 0.1, interval_step: 0.3, interval_max: 2 };
    const given = publisherOptions(parseConfig({ task_publish_retry_policy: policy, publishTimeout: 9 }), system);
    expect(given).toMatchObject({
      publishTimeoutSeconds: 9,
      retryPolicy: { maxRetries: 7, intervalStart: 0.1, intervalStep: 0.3, intervalMax: 2 },
    });
    expect(publisherOptions(parseConfig({ taskPublishRetry: false }), system).retryPolicy).toBe(false);
  });
});

describe("a monitor's queue", () => {
  it('has name, exchange, flags and times of the event settings', () => {
    const options = eventQueueOptions(
      parseConfig({
        eventQueuePrefix: 'watch',
        eventExchange: 'news',
        eventQueueTtl: 3,
        eventQueueExpires: 90,
        eventQueueDurable: true,
      }),
    );
    const queue = eventQueue('1', options);
    expect(queue).toMatchObject({ name: 'watch.1', durable: true, exclusive: false, messageTtl: 3, expires: 90 });
    expect(queue.exchange).toMatchObject({ name: 'news', type: 'topic' });
    const usual = eventQueue('1', eventQueueOptions(parseConfig()));
    expect(usual).toMatchObject({ name: 'celeryev.1', durable: false, exclusive: true, messageTtl: 5, expires: 60 });
    expect(eventQueue('1', eventQueueOptions(parseConfig({ eventQueueExclusive: false }))).exclusive).toBe(false);
  });
});
