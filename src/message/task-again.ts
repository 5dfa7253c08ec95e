/**
 * A task message on its way out again: a retry, a replacement, a re-send after a lost process.
 */
import type { Fields } from './task-fields.ts';
import { type OutgoingTask, reservedHeaders, type TaskBody, type TaskMessage } from './task-message.ts';

/**
 * A message to be sent again (a retry, a crash, a replacement): everything as it came, custom headers included, the broker's dead-letter
 * traces left out. With `original`, the body as it came, and no change of what stands in it, that body is sent unread:
 * types that JavaScript cannot tell apart (a Decimal and its text) survive.
 */
export function toOutgoing(
  message: TaskMessage,
  body: TaskBody,
  changes: Partial<OutgoingTask> = {},
  original?: Uint8Array,
): OutgoingTask {
  const { headers } = message;
  const isBodyKept = !('args' in changes || 'kwargs' in changes || 'embed' in changes || 'serializer' in changes);
  const isUnread = original !== undefined && isBodyKept && message.protocol === 2 && !('compression' in changes);
  return {
    id: message.id,
    task: message.task,
    args: body.args,
    kwargs: body.kwargs,
    embed: body.embed,
    shadow: message.shadow,
    eta: typeof headers.eta === 'string' ? headers.eta : message.eta,
    expires: typeof headers.expires === 'string' ? headers.expires : message.expires,
    group: message.group,
    groupIndex: message.groupIndex,
    retries: message.retries,
    timeLimit: message.timeLimit,
    softTimeLimit: message.softTimeLimit,
    rootId: message.rootId,
    parentId: message.parentId,
    argsRepr: 'args' in changes ? undefined : message.argsRepr,
    kwargsRepr: 'kwargs' in changes ? undefined : message.kwargsRepr,
    origin: message.origin,
    ignoreResult: message.ignoreResult,
    replacedTaskNesting: message.replacedTaskNesting,
    stampedHeaders: message.stampedHeaders.length === 0 ? undefined : message.stampedHeaders,
    stamps: message.stamps,
    crashes: message.crashes,
    headers: customHeaders(headers),
    lang: typeof headers.lang === 'string' ? headers.lang : undefined,
    serializer: message.contentType,
    compression: message.compression,
    replyTo: message.replyTo,
    correlationId: message.correlationId,
    deliveryMode: message.deliveryMode,
    priority: message.priority,
    ...changes,
    encodedBody: isUnread
      ? {
          contentType: message.contentType ?? 'application/data',
          contentEncoding: message.contentEncoding ?? 'utf-8',
          body: original,
          compression: message.compression,
        }
      : undefined,
  };
}

/** Headers that the broker adds when a message dies or is delivered again. */
const brokerHeaders = /^x-(?:death$|first-death-|last-death-|delivery-count$|acquired-count$)/;

/** The headers of a message that is published again as it is: without the traces the broker left on it. */
export function withoutBrokerHeaders(headers: Fields): Record<string, unknown> {
  return Object.fromEntries(Object.entries(headers).filter(([key]) => !brokerHeaders.test(key)));
}

/** The headers that are the sender's own: neither the protocol's nor the broker's. */
export function customHeaders(headers: Fields): Record<string, unknown> {
  const custom: Record<string, unknown> = {};
  for (const key of Object.keys(headers)) {
    if (!reservedHeaders.has(key) && !brokerHeaders.test(key) && key !== '__proto__') custom[key] = headers[key];
  }
  return custom;
}
