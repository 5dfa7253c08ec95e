/** Small questions to a broker, each on a channel of its own. */
import type { Connection } from './connection.ts';
import type { Queue } from './topology.ts';

export interface QueueCounts {
  readonly name: string;
  readonly messageCount: number;
  readonly consumerCount: number;
}

/** Declares queues with their exchanges and bindings. */
export function declareQueues(_connection: Connection, _queues: readonly Queue[]): Promise<readonly QueueCounts[]> {
  throw new Error('unfinished');
}
/** What a queue holds; undefined when there is none. */
export function inspectQueue(_connection: Connection, _name: string): Promise<QueueCounts | undefined> {
  throw new Error('unfinished');
}
/** Empties a queue; how many messages went. */
export function purgeQueue(_connection: Connection, _name: string): Promise<number> {
  throw new Error('unfinished');
}
/** Deletes a queue; how many messages went with it. */
export function deleteQueue(
  _connection: Connection,
  _name: string,
  _options?: { ifUnused?: boolean; ifEmpty?: boolean },
): Promise<number> {
  throw new Error('unfinished');
}
export function deleteExchange(
  _connection: Connection,
  _name: string,
  _options?: { ifUnused?: boolean },
): Promise<void> {
  throw new Error('unfinished');
}
