/**
 * What a failure causes that no body could report (its process is gone, its limit passed, its callbacks went nowhere):
 * the error callbacks are called, and whoever waits for the rest of its chain learns that it will not come.
 */
import type { Celery } from '../../app/index.ts';
import type { Publication } from '../../core/envelope.ts';
import type { Logger } from '../../core/system.ts';
import { afterFailure, chainIds, type EncodedResult } from '../../execution/index.ts';
import { type Embed, tracebackText } from '../../message/index.ts';
import { bodyOf, type Request } from '../request.ts';
import type { TaskResults } from './results.ts';

export interface Aftermath {
  readonly publications: readonly Publication[];
  readonly results: readonly EncodedResult[];
}

/** Error callbacks to publish, and failures of the chain's other links to store, unless one of those was sent. Never throws. */
export function aftermathOf(
  request: Request,
  error: Error,
  sent: ReadonlySet<unknown>,
  { app, log, results }: { readonly app: Celery; readonly log: Logger; readonly results: TaskResults },
): Aftermath {
  const attempt = <T>(what: string, work: () => T): T | undefined => {
    try {
      return work();
    } catch (err) {
      log.error(
        { err, task: request.task.name, taskId: request.id, what },
        'Not everybody who waits for a failed task can be told',
      );
      return undefined;
    }
  };
  const embed = attempt('error callbacks and chain', () => bodyOf(app, request).embed);
  if (embed === undefined) return { publications: [], results: [] };
  const traceback = tracebackText(error);
  // As after a failure of the body: nobody waits for what does not come.
  const ofChain = (): EncodedResult[] => {
    const ids = chainIds(embed.chain ?? []);
    if (ids.some((id) => sent.has(id))) return [];
    return ids.flatMap((id) => results.encodeOther(id, 'FAILURE', error, traceback));
  };
  return {
    publications: attempt('error callbacks', () => errbacks(app, request, embed)) ?? [],
    results: attempt('chain', ofChain) ?? [],
  };
}

function errbacks(app: Celery, { id, message }: Request, embed: Embed): readonly Publication[] {
  if (embed.errbacks === undefined || embed.errbacks.length === 0) return [];
  const host = app.executionHost('none');
  const priority = host.inheritsPriority ? message.priority : undefined;
  const newId = (): string => app.system.newId();
  const { calls } = afterFailure(embed.errbacks, id, { parentId: id, rootId: message.rootId ?? id, priority, newId });
  return calls.flatMap((call) => host.prepareCall(call) ?? []);
}
