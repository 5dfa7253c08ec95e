/** One run of one body: what other rooms may use. */
export { Abort } from './abort.ts';
export { afterFailure, type Call } from './follow-ups.ts';
export type { Address, ExecutionHost, ExecutionSignals, Tracer } from './host.ts';
export type { EncodedResult, Job, Outcome, Report, RunListener } from './outcome.ts';
export { checkArguments, checkResult } from './schema.ts';
export { chainIds, createTracer, type Traced, trace } from './trace.ts';
