/** Reports that no body made, and a listener that hears nothing. */
import type { Outcome, Report, RunListener } from '../../execution/index.ts';
import { packError } from './wire.ts';

/** How a run ended by the pool's own doing. */
export function ended(outcome: Outcome): Report {
  return { outcome, publications: [], results: [] };
}

/** A tracer never rejects; one that does is a mistake of ours, and its run still has to end. */
export function brokenReport(error: unknown): Report {
  const { name, message, stack } = packError(error);
  const exceptionRepr = `${name}(${JSON.stringify(message)})`;
  return ended({ kind: 'failed', runtimeSeconds: 0, exceptionRepr, traceback: stack ?? '', isExpected: false });
}

export const silent: RunListener = { started: () => undefined, state: () => undefined, event: () => undefined };
