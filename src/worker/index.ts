/** The worker: what other rooms may use. */
export { type AutoscaleBounds, parseAutoscale } from './autoscale.ts';
export { taskSentences } from './outcome-log.ts';
export { perSecond } from './rate-limits.ts';
export { stepRequirements } from './steps.ts';
export { versionReport } from './version.ts';
export { Worker, type WorkerInfo, type WorkerOptions } from './worker.ts';
