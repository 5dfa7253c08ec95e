import { describe, expectTypeOf, it } from 'vitest';
import { Celery, type CeleryConfig, type Conf, Exchange, Queue } from '../../src/index.ts';

const app = new Celery('types');

describe('app.conf', () => {
  it('has the type of every setting', () => {
    expectTypeOf(app.conf.taskAcksLate).toEqualTypeOf<boolean>();
    expectTypeOf(app.conf.workerConcurrency).toEqualTypeOf<number | undefined>();
    expectTypeOf(app.conf.taskDefaultQueueType).toEqualTypeOf<'classic' | 'quorum'>();
    expectTypeOf(app.conf.taskDefaultDeliveryMode).toEqualTypeOf<1 | 2>();
    expectTypeOf(app.conf.acceptContent).toEqualTypeOf<readonly string[]>();
    expectTypeOf(app.conf.resultExpires).toEqualTypeOf<number | undefined>();
    expectTypeOf(app.conf.reliability).toEqualTypeOf<'at-least-once' | 'celery'>();
  });

  it('refuses a name that is none', () => {
    // @ts-expect-error it is called taskAcksLate
    app.conf.taskAckLate;
    // @ts-expect-error nor can it be set
    app.conf.taskAckLate = true;
    // @ts-expect-error read back in camelCase only
    app.conf.task_acks_late;
  });

  it('refuses a value of another type', () => {
    // @ts-expect-error a text is no flag
    app.conf.taskAcksLate = 'yes';
    // @ts-expect-error a text is no number
    app.conf.update({ workerConcurrency: '4' });
    // @ts-expect-error no such type of queue
    app.conf.taskDefaultQueueType = 'lazy';
  });

  it('takes routes, queues and schedules in their forms', () => {
    app.conf.taskRoutes = {
      'tasks.add': { queue: 'add', routingKey: 'task.add.now', priority: 10 },
      'tasks.get_*': 'get_id',
    };
    app.conf.taskRoutes = [
      ['feed.*', 'feeds'],
      [/video\..*/, { queue: 'media' }],
    ];
    app.conf.taskRoutes = [{ 'tasks.add': 'low' }, (name) => (name === 'x' ? 'q' : undefined)];
    app.conf.taskRoutes = (name, args, kwargs, options) => {
      expectTypeOf(name).toEqualTypeOf<string>();
      expectTypeOf(args).toEqualTypeOf<readonly unknown[]>();
      return kwargs.slow === true || options.priority === 0 ? { queue: 'slow' } : null;
    };
    app.conf.taskQueues = [new Queue('add', { exchange: new Exchange('tasks', { type: 'topic' }) })];
    app.conf.taskQueues = { cpu: { exchange: 'cpu', routingKey: 'cpu' } };
    app.conf.beatSchedule = { often: { task: 'tasks.add', schedule: 30, args: [1, 1] } };
    // @ts-expect-error a route is a name or an object
    app.conf.taskRoutes = { 'tasks.add': 7 };
    // @ts-expect-error an entry names its task
    app.conf.beatSchedule = { often: { schedule: 30 } };
  });
});

describe('CeleryConfig', () => {
  it('takes camelCase, snake_case, short and old names', () => {
    new Celery('t', { taskAcksLate: true, workerConcurrency: 4, resultExpires: { hours: 1 } });
    new Celery('t', { task_acks_late: true, worker_concurrency: 4, s3_access_key_id: 'x' });
    new Celery('t', { broker: 'amqp://localhost', backend: 'rpc://' });
    new Celery('t', { broker: ['amqp://a', 'amqp://b'] });
    new Celery('t', { CELERY_ACKS_LATE: true, BROKER_URL: 'amqp://localhost', CELERYD_CONCURRENCY: 4 });
    new Celery('t', { taskTimeLimit: null, resultExpires: null });
  });

  it('gives snake_case the same types', () => {
    expectTypeOf<CeleryConfig['task_acks_late']>().toEqualTypeOf<CeleryConfig['taskAcksLate']>();
    expectTypeOf<CeleryConfig['worker_prefetch_multiplier']>().toEqualTypeOf<number | undefined>();
    expectTypeOf<CeleryConfig['result_backend_max_sleep_between_retries_ms']>().toEqualTypeOf<number | undefined>();
  });

  it('refuses what is none', () => {
    // @ts-expect-error it is called taskAcksLate
    new Celery('t', { taskAckLate: true });
    // @ts-expect-error it is called task_acks_late
    new Celery('t', { task_ack_late: true });
    // @ts-expect-error a text is no flag
    new Celery('t', { task_acks_late: 'yes' });
    // @ts-expect-error it cannot be unset
    new Celery('t', { taskDefaultQueue: null });
    // @ts-expect-error days have a name
    new Celery('t', { resultExpires: { fortnights: 1 } });
  });

  it('is what update takes', () => {
    expectTypeOf<Conf['update']>().parameter(0).toEqualTypeOf<CeleryConfig>();
  });
});
