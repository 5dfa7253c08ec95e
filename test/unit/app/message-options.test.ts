/** From options of a task, of a call and of the settings to the message: the call first, then the task, then the setting. */
import { describe, expect, it } from 'vitest';
import { type CallOptions, Celery, type CeleryConfig, Exchange, Queue, type TaskOptions } from '../../../src/index.ts';

/** The publication of a call. */
function sent(given: { settings?: CeleryConfig; task?: TaskOptions; call?: CallOptions; args?: unknown[] }) {
  const app = new Celery('shop', given.settings ?? {});
  app.task('shop.add', { ...given.task, bind: false }, () => 1);
  const publication = app.prepare('shop.add', given.args ?? [1], given.call ?? {});
  return { ...publication, ...publication.envelope };
}

const queues = [
  new Queue('low'),
  new Queue('high'),
  new Queue('q3', { exchange: new Exchange('media', { type: 'topic' }), routingKey: 'media.#' }),
];

describe('where a message goes', () => {
  it.each([
    ['the default queue', {}, ['celery', 'celery']],
    ['the queue of the task', { task: { queue: 'low' } }, ['low', 'low']],
    [
      'the queue of the call over that of the task',
      { task: { queue: 'low' }, call: { queue: 'high' } },
      ['high', 'high'],
    ],
    ['exchange and key of the task', { task: { exchange: 'media', routingKey: 'media.a' } }, ['media', 'media.a']],
    [
      'an exchange that is an object',
      { task: { exchange: new Exchange('media', { type: 'topic' }), routingKey: 'media.b' } },
      ['media', 'media.b'],
    ],
    ['the key of the call', { task: { queue: 'q3' }, call: { routingKey: 'media.c' } }, ['media', 'media.c']],
    [
      'a route by another name',
      { settings: { taskRoutes: { 'video.*': 'high' } }, call: { routeName: 'video.cut' } },
      ['high', 'high'],
    ],
  ] as const)('is %s', (_, given, [exchange, routingKey]) => {
    const settings = { taskQueues: [...queues, new Queue('celery')], ...('settings' in given ? given.settings : {}) };
    const publication = sent({ ...given, settings });
    const target =
      publication.exchange === ''
        ? [publication.routingKey, publication.routingKey]
        : [publication.exchange, publication.routingKey];
    expect(target).toEqual([exchange, routingKey]);
  });
});

describe('how a message is written', () => {
  it('is by the serializer and compression of the call, else of the task, else of the settings', () => {
    const settings = { taskSerializer: 'msgpack', taskCompression: 'bzip2' };
    const forms = [
      {},
      { task: { serializer: 'json', compression: 'brotli' } },
      { task: { serializer: 'json' }, call: { serializer: 'msgpack', compression: 'zlib' } },
    ];
    expect(
      forms
        .map((given) => sent({ settings, ...given }))
        .map(({ properties, headers }) => [properties.contentType, headers.compression]),
    ).toEqual([
      ['application/x-msgpack', 'application/x-bz2'],
      ['application/json', 'application/x-brotli'],
      ['application/x-msgpack', 'application/x-gzip'],
    ]);
  });

  it('is transient or persistent by the call, else the task, else the setting', () => {
    const modes = [
      {},
      { settings: { taskDefaultDeliveryMode: 1 } as const },
      { task: { deliveryMode: 1 } as const },
      { task: { deliveryMode: 1 } as const, call: { deliveryMode: 2 } as const },
    ];
    expect(modes.map((given) => sent(given).properties.deliveryMode)).toEqual([2, 1, 1, 2]);
  });

  it('has the priority of the call, else the task, else the setting', () => {
    const settings = { taskDefaultPriority: 3 };
    const forms = [{}, { task: { priority: 5 } }, { task: { priority: 5 }, call: { priority: 0 } }];
    expect(forms.map((given) => sent({ settings, ...given }).properties.priority)).toEqual([3, 5, 0]);
  });

  it('is of protocol 1 where the setting says so', () => {
    const { body, headers } = sent({ settings: { taskProtocol: 1 }, args: [1, 2], call: { kwargs: { z: 3 } } });
    expect(JSON.parse(Buffer.from(body).toString())).toMatchObject({
      task: 'shop.add',
      args: [1, 2],
      kwargs: { z: 3 },
      retries: 0,
    });
    expect(headers).not.toHaveProperty('task');
    expect(sent({}).headers).toMatchObject({ task: 'shop.add', lang: 'js' });
  });

  it('shows the name that the call gives, else the one the task makes up', () => {
    const task: TaskOptions = { shadowName: ([x], _kwargs, { queue }) => `add of ${x} on ${String(queue)}` };
    expect(sent({ task, call: { queue: 'low' } }).headers.shadow).toBe('add of 1 on low');
    expect(sent({ task, call: { shadow: 'mine' } }).headers.shadow).toBe('mine');
  });

  it('says when it is refused unrouted, unless the call or the app says that nobody cares', () => {
    expect([sent({}).mandatory, sent({ call: { mandatory: false } }).mandatory]).toEqual([true, false]);
    expect(sent({ settings: { reliability: 'celery' } })).toMatchObject({ mandatory: false, confirm: false });
    const settings: CeleryConfig = { brokerTransportOptions: { mandatoryPublish: false } };
    expect(sent({ settings })).toMatchObject({ mandatory: false, confirm: true });
    expect(sent({ settings, call: { mandatory: true } }).mandatory).toBe(true);
  });

  it('carries the rest of a chain and the body of a chord that the call gives', () => {
    const next = { task: 'shop.next', args: [], kwargs: {}, options: {}, subtask_type: null, immutable: false };
    const { body } = sent({ call: { chain: [next], chord: { ...next, task: 'shop.sum' } } });
    const [, , embed] = JSON.parse(Buffer.from(body).toString());
    expect(embed).toMatchObject({ chain: [{ task: 'shop.next' }], chord: { task: 'shop.sum' } });
  });

  it('is published as long and as often as the call says', () => {
    expect(sent({})).not.toHaveProperty('retry');
    expect(sent({})).not.toHaveProperty('timeoutSeconds');
    expect(sent({ call: { timeout: 5, confirmTimeout: 2, retry: false } })).toMatchObject({
      timeoutSeconds: 2,
      retry: false,
    });
    expect(sent({ call: { retryPolicy: { maxRetries: 9 } } }).retry).toEqual({ maxRetries: 9 });
    const settings = { taskPublishRetry: false, taskPublishRetryPolicy: { intervalStart: 2 } };
    expect(sent({ settings, call: { retry: true, retryPolicy: { intervalMax: 7 } } }).retry).toMatchObject({
      intervalStart: 2,
      intervalMax: 7,
    });
  });

  it('has limits and expiry of the call over those of the task', () => {
    expect(sent({ task: { timeLimit: 5 }, call: { timeLimit: 60, softTimeLimit: 50 } }).headers.timelimit).toEqual([
      60, 50,
    ]);
    expect(() => sent({ task: { timeLimit: 5 }, call: { softTimeLimit: 6 } })).toThrow(
      /softTimeLimit \(6 s\) must not exceed timeLimit \(5 s\)/,
    );
  });
});

describe('the ways to call', () => {
  it('of a task make the same message, now or as a signature', () => {
    const app = new Celery('shop');
    const add = app.task('shop.add', (x: number, y: number) => x + y);
    expect(add.s(1, 2).toJSON()).toMatchObject({ task: 'shop.add', args: [1, 2], kwargs: {}, immutable: false });
    expect(add.si(1, 2).toJSON().immutable).toBe(true);
    expect(add.signature([1], { queue: 'low', countdown: 5 }).toJSON()).toMatchObject({
      args: [1],
      options: { queue: 'low', countdown: 5 },
    });
    expect(add(1, 2)).toBe(3);
    expect([add.name, Object.hasOwn(add, 'name')]).toEqual(['shop.add', true]);
  });
});
