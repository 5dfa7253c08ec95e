/** The worker: what other rooms may use. */
export { versionReport } from './version.ts';
export { Worker, type WorkerInfo, type WorkerOptions } from './worker.ts';
