/** Small questions to a broker, each on a channel of its own. A connection that is not open is opened. */

import { codeOf, replyCode } from './broker-errors.ts';
import type { Connection } from './connection.ts';
import { ask, onChannel, type QueueCounts } from './declare.ts';

/** What a queue holds and how many consume it; undefined when there is none of that name. */
export async function inspectQueue(connection: Connection, name: string): Promise<QueueCounts | undefined> {
  return onChannel(connection, (opened) =>
    noneWhenMissing(ask(opened, `Queue '${name}'`, (channel) => channel.checkQueue(name))),
  ).then((answer) =>
    answer === undefined
      ? undefined
      : { name: answer.queue, messageCount: answer.messageCount, consumerCount: answer.consumerCount },
  );
}

/** Takes all ready messages out of a queue; returns how many (0 too when there is no such queue). */
export async function purgeQueue(connection: Connection, name: string): Promise<number> {
  const answer = await onChannel(connection, (opened) =>
    noneWhenMissing(ask(opened, `Queue '${name}'`, (channel) => channel.purgeQueue(name))),
  );
  return answer?.messageCount ?? 0;
}

/**
 * Deletes a queue; returns how many messages went with it (0 too when there was none of that name).
 *
 * @throws {ImproperlyConfigured} when it is in use or not empty, and that was asked not to be.
 */
export async function deleteQueue(
  connection: Connection,
  name: string,
  options: { ifUnused?: boolean; ifEmpty?: boolean } = {},
): Promise<number> {
  const answer = await onChannel(connection, (opened) =>
    noneWhenMissing(ask(opened, `Queue '${name}'`, (channel) => channel.deleteQueue(name, options))),
  );
  return answer?.messageCount ?? 0;
}

/** Deletes an exchange, if it is there. */
export async function deleteExchange(
  connection: Connection,
  name: string,
  options: { ifUnused?: boolean } = {},
): Promise<void> {
  await onChannel(connection, (opened) =>
    noneWhenMissing(ask(opened, `Exchange '${name}'`, (channel) => channel.deleteExchange(name, options))),
  );
}

async function noneWhenMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Error && codeOf(error.cause) === replyCode.notFound) return undefined;
    throw error;
  }
}
