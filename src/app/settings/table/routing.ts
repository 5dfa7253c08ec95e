/** Settings of routing: which queue a task goes to, and what the queues are like. */

import { choice, count, flag, optional, shaped, text } from '../setting.ts';
import { type QueuesSetting, queuesSetting, type TaskRoutes, taskRoutes } from '../shapes.ts';

export const routing = {
  taskCreateMissingQueues: flag(true, 'Declare queues that are named but not in `taskQueues`. Off: `QueueNotFound`.', {
    old: ['CELERY_CREATE_MISSING_QUEUES'],
  }),
  taskCreateMissingQueueType: choice(
    ['classic', 'quorum'],
    'classic',
    'Type of queues made by `taskCreateMissingQueues`.',
    {
      old: ['CELERY_CREATE_MISSING_QUEUE_TYPE'],
    },
  ),
  taskCreateMissingQueueExchangeType: text(
    undefined,
    'Exchange type of queues made by `taskCreateMissingQueues`. Unset: the default exchange.',
    { old: ['CELERY_CREATE_MISSING_QUEUE_EXCHANGE_TYPE'] },
  ),
  taskInheritParentPriority: flag(false, 'Tasks sent by a task get its priority when they have none.', {
    old: ['CELERY_INHERIT_PARENT_PRIORITY'],
  }),
  taskDefaultDeliveryMode: choice([1, 2], 2, '2: messages survive a restart of the broker. 1: they do not.', {
    old: ['CELERY_DEFAULT_DELIVERY_MODE'],
    aliases: { persistent: 2, transient: 1 },
  }),
  taskDefaultQueue: text('celery', 'Where tasks go that nothing else routes, and what a worker consumes by default.', {
    old: ['CELERY_DEFAULT_QUEUE'],
  }),
  taskDefaultQueueType: choice(['classic', 'quorum'], 'classic', 'Type of the default queue.', {
    old: ['CELERY_DEFAULT_QUEUE_TYPE'],
  }),
  taskDefaultExchange: text(undefined, 'Exchange of queues that name none. Unset: the name of the default queue.', {
    old: ['CELERY_DEFAULT_EXCHANGE'],
  }),
  taskDefaultExchangeType: text('direct', 'Type of that exchange: `direct`, `topic`, `fanout`, `headers`.', {
    old: ['CELERY_DEFAULT_EXCHANGE_TYPE'],
  }),
  taskDefaultRoutingKey: text(
    undefined,
    'Routing key of queues that name none. Unset: the name of the default queue.',
    { old: ['CELERY_DEFAULT_ROUTING_KEY'] },
  ),
  taskDefaultPriority: count(undefined, 'Priority of tasks without one of their own, higher first.', {
    old: ['CELERY_DEFAULT_PRIORITY'],
    max: 255,
  }),
  taskQueues: shaped<QueuesSetting | undefined>(
    'Queue[] | object of options by name',
    undefined,
    'The queues the app knows. Unset: only the default queue.',
    queuesSetting,
    { old: ['CELERY_QUEUES'] },
  ),
  taskQueueMaxPriority: optional(
    count(undefined, '`x-max-priority` of queues that say nothing of priorities.', {
      old: ['CELERY_QUEUE_MAX_PRIORITY'],
      max: 255,
    }),
  ),
  taskRoutes: shaped<TaskRoutes | undefined>(
    'object | [pattern, route][] | function | list of them',
    undefined,
    'Where tasks go: name, glob or RegExp to a queue or a route; a function; or a list of routers, of which the first that answers wins.',
    taskRoutes,
    { old: ['CELERY_ROUTES'] },
  ),
} as const;
