import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { Broadcast, Exchange, Queue } from '../../../src/amqp/index.ts';
import { createRouter, type Routed, type Router } from '../../../src/app/router.ts';
import { loadRoutes, needsLoading } from '../../../src/app/routes.ts';
import { type CeleryConfig, parseConfig } from '../../../src/app/settings.ts';
import { ImproperlyConfigured, QueueNotFound } from '../../../src/core/errors.ts';

const aRouter = (config: CeleryConfig = {}): Router => createRouter(parseConfig(config));
const queueOf = ({ queue }: Routed): string | undefined => queue?.name;

describe("the vectors of Celery's own run", () => {
  const spec = JSON.parse(readFileSync(new URL('../../spec/routing.json', import.meta.url), 'utf8'));
  const router = aRouter({
    taskRoutes: [
      { 'tasks.add': 'low' },
      [
        ['feed.tasks.*', 'feeds'],
        ['img.*', { queue: 'img', routing_key: 'img.k' }],
        [/(video|audio)\..*/, { queue: 'media' }],
      ],
      (name) => (name === 'fn.t' ? 'fn' : null),
    ],
  });

  it.each<[string, Record<string, unknown>]>(spec.vectors.map((row: { task: string }) => [row.task, row]))(
    'route %s',
    (task, row) => {
      const { queue: asked, routing_key: key } = Object(row.options);
      const routed = router.route(task, { queue: asked, routingKey: key });
      expect(queueOf(routed)).toBe(row.queue);
      expect(routed.queue?.exchange.name).toBe(row.exchange);
      expect(routed.queue?.routingKey).toBe(row.queue_routing_key);
      expect(routed.options.routingKey ?? null).toBe(row.routing_key);
      expect(routed).toMatchObject({ exchange: '', routingKey: row.queue });
    },
  );
});

describe('what Celery 5.7 published', () => {
  const recorded = JSON.parse(readFileSync(new URL('../../fixtures/routing.json', import.meta.url), 'utf8'));

  /** Where we do otherwise on purpose. */
  const otherwise: Record<string, object> = {
    'route priority over the default': { priority: 3 }, // a default is what is left when nobody said anything
    'exchange and key of a call': { declare: [] }, // the default queue has nothing to do with it
  };

  it.each<[string, Recorded]>(recorded.cases.map((one: Recorded) => [one.title, one]))('%s', (title, one) => {
    const routes = recorded.routes[one.routes] ?? undefined;
    const queues = recorded.queues[one.queues] ?? undefined;
    const router = aRouter({ task_routes: routes, task_queues: queuesOf(queues), ...one.conf });
    const route = () => router.route(one.name, camel(one.call), { task: camel(one.task) });
    if ('error' in one.sent) {
      expect(route).toThrow(QueueNotFound);
      return;
    }
    const { exchange, routingKey, priority, declare } = route();
    expect({
      exchange,
      routing_key: routingKey,
      priority: priority ?? null,
      declare: declare.map((queue) => ({
        name: queue.name,
        exchange: queue.exchange.name,
        type: queue.exchange.type,
        key: queue.routingKey,
        arguments: queue.queueArguments,
      })),
    }).toEqual({ ...one.sent, ...otherwise[title] });
  });

  it('was recorded, not made up', () => {
    expect(recorded.celery).toBe('5.7.0');
    expect(recorded.cases.length).toBeGreaterThan(50);
  });

  interface Recorded {
    readonly title: string;
    readonly routes: string;
    readonly queues: string;
    readonly name: string;
    readonly call: Record<string, unknown>;
    readonly task: Record<string, unknown>;
    readonly conf: CeleryConfig;
    readonly sent: object;
  }

  function queuesOf(spec: unknown): CeleryConfig['taskQueues'] {
    if (!Array.isArray(spec)) return spec as CeleryConfig['taskQueues'];
    return spec.map(([name, options]) => {
      if (options === 'broadcast') return new Broadcast(name);
      const { exchange, routing_key: routingKey, alias } = options;
      return new Queue(name, {
        ...(exchange === undefined ? {} : { exchange: new Exchange(exchange[0], { type: exchange[1] }) }),
        ...(routingKey === undefined ? {} : { routingKey }),
        ...(alias === undefined ? {} : { alias }),
      });
    });
  }

  function camel(options: Record<string, unknown>): Record<string, unknown> {
    const { routing_key: routingKey, ...rest } = options;
    return routingKey === undefined ? rest : { ...rest, routingKey };
  }
});

describe('taskRoutes', () => {
  it.each<[string, CeleryConfig['taskRoutes']]>([
    ['an object', { 'tasks.add': 'low' }],
    ['an object with a route', { 'tasks.add': { queue: 'low' } }],
    ['an object with a Queue', { 'tasks.add': { queue: new Queue('low') } }],
    ['a Queue by name', { 'tasks.add': new Queue('low') }],
    ['a glob', { 'tasks.*': 'low' }],
    ['one pair', ['tasks.add', 'low']],
    ['pairs', [['tasks.add', 'low']]],
    ['pairs with a RegExp', [[/tasks\./, 'low']]],
    ['a global RegExp, asked twice', [[/tasks\.add/g, 'low']]],
    ['a Map', new Map<string | RegExp, string>([[/tasks\..*/, 'low']])],
    ['a function', (name) => (name === 'tasks.add' ? 'low' : undefined)],
    ['a function with a route', () => ({ queue: 'low' })],
    ['an object of the old form', { routeForTask: () => 'low' }],
    ['a list of routers', [{ other: 'x' }, { 'tasks.add': 'low' }]],
    ['a list of lists of pairs', [[['other', 'x']], [['tasks.add', { queue: 'low' }]]]],
    ['a list with a pair among routers', [{ other: 'x' }, ['tasks.add', 'low'], () => 'never']],
    ['functions that have no opinion', [() => null, () => undefined, () => 'low']],
  ])('may be %s', (_, taskRoutes) => {
    const router = aRouter({ taskRoutes });
    expect(queueOf(router.route('tasks.add'))).toBe('low');
    expect(queueOf(router.route('tasks.add'))).toBe('low');
  });

  it('reads exact names before globs and globs in their order', () => {
    const router = aRouter({ taskRoutes: { 'a.*': 'first', '*.b': 'second', 'a.b': 'exact' } });
    expect(['a.b', 'a.c', 'c.b'].map((name) => queueOf(router.route(name)))).toEqual(['exact', 'first', 'second']);
  });

  it('takes only names with a star for globs', () => {
    const router = aRouter({ taskRoutes: { 'tasks.?': 'one', 'tasks.[ab]*': 'set' } });
    expect(queueOf(router.route('tasks.x'))).toBe('celery');
    expect(queueOf(router.route('tasks.?'))).toBe('one');
    expect(queueOf(router.route('tasks.back'))).toBe('set');
    expect(queueOf(router.route('tasks.cack'))).toBe('celery');
  });

  it('matches a RegExp from the start of the name and not to its end', () => {
    const router = aRouter({ taskRoutes: [[/video/, 'media']] });
    expect(queueOf(router.route('video.encode'))).toBe('media');
    expect(queueOf(router.route('my.video'))).toBe('celery');
  });

  it('shows a function the name, the arguments, the options and the task', () => {
    const taskRoutes = vi.fn((..._shown: unknown[]) => null);
    const task = { priority: 3 };
    aRouter({ taskRoutes }).route('tasks.add', { queue: 'low' }, { args: [1, 2], kwargs: { z: 3 }, task });
    const [name, args, kwargs, options, shown] = taskRoutes.mock.lastCall ?? [];
    expect([name, args, kwargs, shown]).toEqual(['tasks.add', [1, 2], { z: 3 }, task]);
    expect(options).toMatchObject({ priority: 3, queue: expect.objectContaining({ name: 'low' }) });
  });

  it('asks a function for every message', () => {
    const router = aRouter({ taskRoutes: (_name, args) => (args[0] === 'big' ? 'slow' : 'fast') });
    expect(queueOf(router.route('t', {}, { args: ['big'] }))).toBe('slow');
    expect(queueOf(router.route('t', {}, { args: ['small'] }))).toBe('fast');
  });

  it('hands on what else a route says, under what the call says', () => {
    const router = aRouter({
      taskRoutes: { t: { queue: 'q', priority: 3, serializer: 'yaml', compression: 'zlib', delivery_mode: 1 } },
    });
    expect(router.route('t')).toMatchObject({ priority: 3, serializer: 'yaml', compression: 'zlib', deliveryMode: 1 });
    expect(router.route('t', { serializer: 'json', priority: 9 })).toMatchObject({
      priority: 9,
      serializer: 'json',
      compression: 'zlib',
    });
    expect(aRouter({ taskRoutes: { t: { queue: 'q', expires: 60 } } }).route('t').options.expires).toBe(60);
  });

  it.each<[string, unknown, string]>([
    ['a number', { t: 7 }, "the route of 't' must be a queue or an object, not 7"],
    ['a list within the list that is no pairs', [[['t'], 'q', 3]], 'must hold [pattern, route] pairs'],
    ['a text that is not loaded', 'proj.routes:route', 'await app.loaded'],
    ['a number among routers', [{ t: 'q' }, 7], '7 is no router'],
  ])('refuses %s', (_, taskRoutes, problem) => {
    expect(() => aRouter({ taskRoutes: taskRoutes as never })).toThrow(ImproperlyConfigured);
    expect(() => aRouter({ taskRoutes: taskRoutes as never })).toThrow(problem);
  });

  it('refuses a function that answers later', () => {
    const router = aRouter({ taskRoutes: (async () => 'q') as never });
    expect(() => router.route('t')).toThrow('is a promise; routers must answer at once');
  });

  it('takes functions by name once they are loaded', async () => {
    class Old {
      routeForTask(name: string): string | undefined {
        return name === 'old' ? 'antique' : undefined;
      }
    }
    const modules: Record<string, unknown> = {
      'proj:route': (name: string) => (name === 'new' ? 'modern' : null),
      'proj:Old': Old,
    };
    const taskRoutes = ['proj:route', 'proj:Old', { rest: 'q' }];
    expect(needsLoading(taskRoutes)).toBe(true);
    const loaded = await loadRoutes(taskRoutes, async (path) => modules[path]);
    expect(needsLoading(loaded)).toBe(false);
    const router = aRouter({ taskRoutes: loaded });
    expect(['new', 'old', 'rest'].map((name) => queueOf(router.route(name)))).toEqual(['modern', 'antique', 'q']);
    expect(needsLoading(['tasks.add', 'low'])).toBe(false);
  });
});

describe('exchanges', () => {
  it('are published to without a queue when a call names exchange and key, and nothing is declared', () => {
    expect(aRouter().route('t', { exchange: 'logs', routingKey: 'k' })).toMatchObject({
      queue: undefined,
      declare: [],
      exchange: 'logs',
      routingKey: 'k',
    });
  });

  it('need a key, but for fanout and headers', () => {
    const taskQueues = [new Queue('audit', { exchange: new Exchange('audit', { type: 'fanout' }) })];
    expect(aRouter({ taskQueues }).route('t', { exchange: 'audit' })).toMatchObject({
      exchange: 'audit',
      routingKey: '',
    });
    expect(aRouter().route('t', { exchange: new Exchange('geo', { type: 'headers' }) })).toMatchObject({
      exchange: 'geo',
      routingKey: '',
    });
    expect(() => aRouter().route('t', { exchange: 'logs' })).toThrow("'logs' was named without a routingKey");
  });

  it('give their delivery mode to messages that have none', () => {
    const queue = new Queue('q', { exchange: new Exchange('x', { type: 'topic', deliveryMode: 1 }) });
    const router = aRouter({ taskQueues: [queue] });
    expect(router.route('t', { queue: 'q' }).deliveryMode).toBe(1);
    expect(router.route('t', { queue: 'q', deliveryMode: 2 }).deliveryMode).toBe(2);
    expect(aRouter().route('t').deliveryMode).toBe(2);
    expect(aRouter({ taskDefaultDeliveryMode: 'transient' }).route('t').deliveryMode).toBe(1);
  });
});

describe('queues', () => {
  it('given as a Queue need not be known', () => {
    const queue = new Queue('mine', { exchange: new Exchange('x', { type: 'topic' }), routingKey: 'k' });
    const router = aRouter({ taskCreateMissingQueues: false });
    expect(router.route('t', { queue })).toMatchObject({ queue, exchange: 'x', routingKey: 'k', declare: [queue] });
  });

  it('that are missing are named, with the nearest known name', () => {
    const router = aRouter({ taskQueues: [new Queue('images')], taskCreateMissingQueues: false });
    expect(() => router.route('t', { queue: 'image' })).toThrow(QueueNotFound);
    expect(() => router.route('t', { queue: 'image' })).toThrow("did you mean 'images'?");
  });

  it('made when first named stay the same', () => {
    const router = aRouter();
    expect(router.route('t', { queue: 'new' }).queue).toBe(router.route('u', { queue: 'new' }).queue);
  });

  it('made when first named take their exchange from the hook', () => {
    const router = createRouter(parseConfig(), { autoExchange: () => null });
    expect(router.route('t', { queue: 'new' }).queue?.bindings).toEqual([]);
    expect(router.route('t', { queue: 'new' })).toMatchObject({ exchange: '', routingKey: 'new' });
  });

  it('take the largest priority of the settings when they have none, but not on quorum queues', () => {
    const taskQueues = [
      new Queue('own', { maxPriority: 3 }),
      new Queue('plain'),
      new Queue('safe', { queueType: 'quorum' }),
    ];
    const router = aRouter({ taskQueues, taskQueueMaxPriority: 10 });
    const priorities = ['own', 'plain', 'safe', 'new'].map((queue) => router.route('t', { queue }).queue?.maxPriority);
    expect(priorities).toEqual([3, 10, undefined, 10]);
  });

  it('keep a type, arguments and bindings of their own', () => {
    const exchange = new Exchange('geo', { type: 'headers' });
    const eu = new Queue('eu', { exchange, bindingArguments: { 'x-match': 'all', region: 'eu' } });
    const many = new Queue('many', {
      bindings: [
        { exchange, routingKey: 'a' },
        { exchange, routingKey: 'b' },
      ],
    });
    const router = aRouter({ taskQueues: [eu, many] });
    expect(router.route('t', { queue: 'eu' }).queue).toMatchObject({
      bindingArguments: { 'x-match': 'all', region: 'eu' },
    });
    expect(router.route('t', { queue: 'many' }).queue?.bindings.map(({ routingKey }) => routingKey)).toEqual([
      'a',
      'b',
    ]);
  });

  it('of broadcasts are not declared by senders', () => {
    const everyone = new Broadcast('everyone');
    const routed = aRouter({ taskQueues: [everyone] }).route('t', { queue: 'everyone' });
    expect(routed).toMatchObject({ exchange: 'everyone', declare: [] });
    expect(routed.queue?.isBroadcast).toBe(true);
  });

  it('that are neither name nor Queue are refused', () => {
    expect(() => aRouter().route('t', { queue: {} as never })).toThrow('A queue must be a name or a Queue');
  });
});

describe('a worker', () => {
  const names = (queues: readonly Queue[]): string[] => queues.map(({ name }) => name);
  const taskQueues = [new Queue('a'), new Queue('b', { alias: 'second' }), new Queue('c')];

  it('consumes every configured queue, or the default one', () => {
    expect(names(aRouter().consumed())).toEqual(['celery']);
    expect(names(aRouter({ taskQueues }).consumed())).toEqual(['a', 'b', 'c']);
  });

  it('consumes what -Q selects, made where it is missing', () => {
    expect(names(aRouter({ taskQueues }).consumed({ only: ['second', 'new'] }))).toEqual(['b', 'new']);
  });

  it('stops on a queue that -Q selects and nobody may make', () => {
    const router = aRouter({ taskQueues, taskCreateMissingQueues: false });
    expect(() => router.consumed({ only: ['new'] })).toThrow(ImproperlyConfigured);
    expect(() => router.consumed({ only: ['new'] })).toThrow("Trying to select queue 'new'");
  });

  it('leaves out what -X names, by alias too, and ignores what it does not know', () => {
    expect(names(aRouter({ taskQueues }).consumed({ except: ['second', 'nobody'] }))).toEqual(['a', 'c']);
    expect(names(aRouter({ taskQueues }).consumed({ only: ['a', 'b'], except: ['a'] }))).toEqual(['b']);
  });

  it('does not start to consume a queue because a message was sent there', () => {
    const router = aRouter({ taskQueues });
    router.route('t', { queue: 'new' });
    expect(names(router.consumed())).toEqual(['a', 'b', 'c']);
  });

  it('has a queue of its own with workerDirect', () => {
    const [, direct] = aRouter({ workerDirect: true }).consumed({ node: 'w1@host' });
    expect(direct).toMatchObject({ name: 'w1@host.dq2', routingKey: 'w1@host' });
    expect(direct?.exchange).toMatchObject({ name: 'C.dq2', type: 'direct', durable: true });
    expect(names(aRouter().consumed({ node: 'w1@host' }))).toEqual(['celery']);
  });
});

describe('answers that depend on the task alone', () => {
  it('are kept', () => {
    const router = aRouter({ taskRoutes: { 'tasks.*': 'low' } });
    const task = { priority: 3 };
    expect(router.route('tasks.add', {}, { task })).toBe(router.route('tasks.add', {}, { args: [1], task }));
  });

  it('are kept without what one call says of its message', () => {
    const router = aRouter({ taskRoutes: { t: { queue: 'q', priority: 1 } } });
    expect(router.route('t', { priority: 9, deliveryMode: 1 })).toMatchObject({
      priority: 9,
      deliveryMode: 1,
      routingKey: 'q',
    });
    expect(router.route('t', { serializer: 'yaml' }).options).toMatchObject({ serializer: 'yaml', priority: 1 });
    expect(router.route('t')).toMatchObject({ priority: 1, deliveryMode: 2, serializer: undefined });
  });

  it('are not mixed up between tasks of one name', () => {
    const router = aRouter();
    expect(router.route('t', {}, { task: { queue: 'a' } }).queue?.name).toBe('a');
    expect(router.route('t', {}, { task: { queue: 'b' } }).queue?.name).toBe('b');
    expect(router.route('t').queue?.name).toBe('celery');
  });

  it('cost less than a microsecond each', () => {
    const router = aRouter({ taskRoutes: { 'tasks.*': 'low' } });
    const call = { countdown: 3 } as object;
    const called = { args: [1, 2], kwargs: undefined, task: {} };
    const rounds = 200_000;
    let best = Number.POSITIVE_INFINITY;
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const start = performance.now();
      for (let round = 0; round < rounds; round += 1) router.route('tasks.add', call, called);
      best = Math.min(best, ((performance.now() - start) * 1000) / rounds);
    }
    expect(best).toBeLessThan(1);
  });
});
