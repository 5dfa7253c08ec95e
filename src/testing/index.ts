/** `celery-ts/testing`: a broker, a worker and a clock for a test. */
export { type Broker, type BrokerOptions, startBroker } from '../broker/index.ts';
export { type Clock, createClock } from './clock.ts';
export { type StartWorkerOptions, startWorker, type TestWorker } from './worker.ts';
