/** The app: what other rooms may use. */
export { appBrand, Celery, isApp } from './celery.ts';
export type { Compressions, Serializers } from './codecs.ts';
export type { Conf } from './conf.ts';
export { Connections, connectionOptions } from './connections.ts';
export type { AppOptions } from './host.ts';
export type { Selection } from './queues.ts';
export { controlTopology, eventQueueOptions, type UserCommand } from './remote.ts';
export type { SecurityOptions } from './security.ts';
export { delayOf } from './send-task.ts';
export { type CeleryConfig, type Config, type ConfigInput, settingNames } from './settings.ts';
export { type Publishing, type RequestView, Signals } from './signals.ts';
export {
  type ConsumerContext,
  ConsumerStep,
  type PoolContext,
  type StepConsumer,
  type StepMessage,
  StepSet,
  Steps,
  type StepTimer,
  type WorkerContext,
} from './steps.ts';
