/** Results, events and control messages of Celery 5.2.6 and 5.6.3, read and written again. */
import { describe, expect, it } from 'vitest';
import { NotRegistered, RemoteTaskError, SoftTimeLimitExceeded, TaskRevokedError } from '../../../src/core/errors.ts';
import {
  createCodec,
  type DecodedResult,
  decodeControlReply,
  decodeControlRequest,
  decodeEvents,
  decodeHelloReply,
  decodeResult,
  encodeControlReply,
  encodeControlRequest,
  encodeEvent,
  encodeEvents,
  encodeHelloReply,
  encodeResult,
  eventRoutingKey,
  type OutgoingResult,
} from '../../../src/message/index.ts';
import { jsonOf, type Recorded, readFixture, recorded, wireProperties } from './fixtures.ts';

const codec = createCodec();
const named = (list: readonly Recorded[]) => list.map((each) => [`${each.file} ${each.name}`, each] as const);

function outgoing(result: DecodedResult): OutgoingResult {
  const { group_id, parent_id, stamped_headers, name, args, kwargs, worker, retries, queue, ...stamps } = result.extra;
  return {
    ...result,
    groupId: group_id as string | undefined,
    parentId: parent_id as string | undefined,
    extended: {
      name: name as string | undefined,
      args,
      kwargs,
      worker: worker as string | undefined,
      retries: retries as number | undefined,
      queue: queue as string | undefined,
      stampedHeaders: stamped_headers as readonly string[] | undefined,
      stamps,
    },
  };
}

describe('a recorded result message', () => {
  const results = recorded('result');
  const read = (each: Recorded): DecodedResult =>
    decodeResult(
      each.envelope.body,
      each.envelope.properties.contentType,
      each.envelope.properties.contentEncoding,
      codec,
    );
  const find = (scenario: string, state: string): DecodedResult => {
    const found = results
      .filter((each) => each.scenario === scenario)
      .map(read)
      .find((result) => result.state === state);
    if (found === undefined) throw new Error(`no ${state} in ${scenario}`);
    return found;
  };

  it('is there in every state', () => {
    expect(new Set(results.map((each) => read(each).state))).toEqual(
      new Set(['STARTED', 'SUCCESS', 'FAILURE', 'RETRY', 'REVOKED', 'PROGRESS']),
    );
  });

  it.each(named(results))('%s comes out as it went in', (_, each) => {
    const again = encodeResult(outgoing(read(each)), { form: 'rpc', serializer: 'json' }, codec);
    expect(jsonOf(again.body)).toEqual(jsonOf(each.envelope.body));
    expect(Object.keys(jsonOf(again.body) as object)).toEqual(Object.keys(jsonOf(each.envelope.body) as object));
    expect([again.contentType, again.contentEncoding]).toEqual(['application/json', 'utf-8']);
  });

  it('has the error of a failure, by class where the class is known', () => {
    expect(find('expired', 'REVOKED').result).toBeInstanceOf(TaskRevokedError);
    expect(find('failure-bad-args', 'FAILURE').result).toBeInstanceOf(TypeError);
    expect(find('unknown-task', 'FAILURE').result).toBeInstanceOf(NotRegistered);
    expect(find('soft-time-limit', 'FAILURE').result).toBeInstanceOf(SoftTimeLimitExceeded);
    const failure = find('failure-custom-exception', 'FAILURE');
    expect(failure.result).toBeInstanceOf(RemoteTaskError);
    expect(failure.result).toMatchObject({ excType: 'MyError', excModule: 'proj.tasks', excMessage: ['boom', 7] });
    expect((failure.result as RemoteTaskError).remoteTraceback).toContain('raise MyError(msg, code)');
  });
});

describe('a recorded result document', () => {
  const documents = ['redis-backend-5.2.6.json', 'redis-backend-5.6.3.json'].flatMap((file) =>
    readFixture(file).flatMap((scenario) =>
      Object.entries(scenario.keys_after as Record<string, { value: unknown }>)
        .filter(([key]) => key.startsWith('celery-task-meta-'))
        .map(([, { value }]) => [`${file} ${scenario.name}`, value as string] as const),
    ),
  );

  it('is there in all forms', () => {
    expect(documents.length).toBeGreaterThan(60);
  });

  it.each(documents)('%s comes out as it went in', (file, text) => {
    const read = decodeResult(Buffer.from(text), 'application/json', 'utf-8', codec);
    const again = jsonOf(encodeResult(outgoing(read), { form: 'document', serializer: 'json' }, codec).body);
    const expected = jsonOf(Buffer.from(text)) as { date_done: string | null };
    // Celery 5.2.6 wrote UTC without saying so; what is written now says so.
    if (file.includes('5.2.6') && expected.date_done !== null) expected.date_done += '+00:00';
    expect(again).toEqual(expected);
    expect(Object.keys(again as object)).toEqual(Object.keys(expected));
  });
});

/** Seconds into milliseconds and back costs the last bit: a fifth of a microsecond. */
function aboutThen(events: unknown): unknown {
  const about = (event: { timestamp: number }) => ({ ...event, timestamp: expect.closeTo(event.timestamp, 5) });
  return Array.isArray(events) ? events.map(about) : about(events as { timestamp: number });
}

describe('a recorded event message', () => {
  const events = recorded('event');

  it('is there as one event and as a list of them', () => {
    expect(events.length).toBeGreaterThan(500);
    expect(events.filter((each) => Array.isArray(jsonOf(each.envelope.body))).length).toBeGreaterThan(100);
  });

  it('may be an empty list', () => {
    const empty = events.filter((each) => Buffer.from(each.envelope.body).toString() === '[]');
    expect(empty.length).toBeGreaterThan(0);
    for (const each of empty) expect(decodeEvents(each.envelope, codec)).toEqual({ events: [], problems: [] });
  });

  const filled = events.filter((each) => each.envelope.body.length > 2);
  it.each(named(filled))('%s comes out as it went in', (_, each) => {
    const { events: read, problems } = decodeEvents(each.envelope, codec);
    const [first] = read;
    if (first === undefined) throw new Error('no event');
    const isList = each.routingKey.endsWith('.multi');
    const again = isList ? encodeEvents(read, codec) : encodeEvent(first, codec);
    expect(problems).toEqual([]);
    expect(jsonOf(again.body)).toEqual(aboutThen(jsonOf(each.envelope.body)));
    expect(wireProperties(again)).toEqual(each.properties);
    expect(again.headers).toEqual(each.headers);
    if (!isList) expect(eventRoutingKey(first.type)).toBe(each.routingKey);
  });

  it('says when in epoch milliseconds, and the rest in camelCase', () => {
    const online = events.find((each) => each.routingKey === 'worker.online' && each.celery === '5.6.3');
    const [event] = online === undefined ? [] : decodeEvents(online.envelope, codec).events;
    expect(event).toMatchObject({
      type: 'worker-online',
      hostname: 'worker1@host.example',
      swIdent: 'py-celery',
      freq: 2,
    });
    expect(new Date(event?.timestamp ?? 0).getUTCFullYear()).toBe(2026);
  });
});

describe('a recorded control request', () => {
  it.each(named(recorded('control-request')))('%s comes out as it went in', (_, each) => {
    const read = decodeControlRequest(each.envelope, codec);
    const again = encodeControlRequest(read, codec);
    expect(jsonOf(again.body)).toEqual(jsonOf(each.envelope.body));
    expect(wireProperties(again)).toEqual(each.properties);
    expect(again.headers.clock).toBe(each.headers.clock);
    expect(again.headers.expires).toBeCloseTo(each.headers.expires as number, 5);
  });

  it('wants no reply when it is a cast', () => {
    const casts = recorded('control-request')
      .map((each) => decodeControlRequest(each.envelope, codec))
      .filter((request) => request.replyTo === undefined);
    expect(casts.length).toBeGreaterThan(0);
    expect(casts.every((request) => request.ticket === undefined)).toBe(true);
  });
});

describe('a recorded control reply', () => {
  const replies = recorded('control-reply');

  it.each(named(replies))('%s comes out as it went in', (_, each) => {
    const read = decodeControlReply(each.envelope, codec);
    expect(read.replies.size).toBe(1);
    for (const [node, value] of read.replies) {
      const again = encodeControlReply({ node, value, ticket: read.ticket ?? '', clock: read.clock }, codec);
      expect(jsonOf(again.body)).toEqual(jsonOf(each.envelope.body));
      expect(wireProperties(again)).toEqual(each.properties);
      expect(again.headers).toEqual(each.headers);
    }
  });

  it('to hello tells what was revoked, and is written with floats', () => {
    const mingled = replies.find((each) => each.scenario === 'second-worker-joins-mingle' && each.celery === '5.6.3');
    if (mingled === undefined) throw new Error('no fixture');
    const [value] = decodeControlReply(mingled.envelope, codec).replies.values();
    const hello = decodeHelloReply(value);
    if (hello === undefined) throw new Error('no hello');
    expect(hello.revoked.get('e3f5ebc9-de33-42cc-8cef-1915ad098c5f')).toBe(1947.453284502);
    const again = codec.serialize(encodeHelloReply(hello), 'json');
    expect(jsonOf(again.body)).toEqual(value);
  });

  it('to its own hello tells nothing', () => {
    expect(decodeHelloReply(null)).toBeUndefined();
  });
});
