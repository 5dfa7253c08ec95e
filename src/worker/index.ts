/** The worker: what other rooms may use. */
export { Worker, type WorkerInfo, type WorkerOptions } from './worker.ts';
