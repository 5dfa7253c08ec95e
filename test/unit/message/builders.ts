/** Messages with quiet defaults, for tests that care about one thing. */
import type { Envelope } from '../../../src/core/envelope.ts';
import { type Codec, encodeTask, type OutgoingTask } from '../../../src/message/index.ts';

export function aTask(changes: Partial<OutgoingTask> = {}): OutgoingTask {
  return {
    id: 'd13affcd-7656-48da-b5bf-9b2dd2b1b6fd',
    task: 'tasks.add',
    args: [1, 1],
    kwargs: {},
    replyTo: 'replies',
    origin: 'gen1@host',
    ...changes,
  };
}

/** A task message whose headers are changed by hand: undefined takes one away. */
export function aMessage(codec: Codec, headers: Readonly<Record<string, unknown>> = {}, body?: unknown): Envelope {
  const made = encodeTask(aTask(), codec);
  const changed = Object.entries({ ...made.headers, ...headers }).filter(([, value]) => value !== undefined);
  return {
    properties: made.properties,
    headers: Object.fromEntries(changed),
    body: body === undefined ? made.body : codec.serialize(body, 'json').body,
  };
}

/** A message of protocol 1 whose body is changed by hand. */
export function anOldMessage(codec: Codec, fields: Readonly<Record<string, unknown>> = {}): Envelope {
  const body = { task: 'tasks.add', id: 'old-1', args: [1, 1], kwargs: {}, ...fields };
  const kept = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
  return {
    properties: {
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      correlationId: 'old-1',
      replyTo: 'replies',
    },
    headers: {},
    body: codec.serialize(kept, 'json').body,
  };
}
