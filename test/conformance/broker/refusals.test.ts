/**
 * What a broker refuses, and in which words. One table: what is asked on a fresh channel, and what comes back. The words
 * were recorded from RabbitMQ 3.10; of a newer one only the codes are compared.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Field, field } from '../../../src/broker/wire/field-table.ts';
import type { Fields, MethodName } from '../../../src/broker/wire/methods.ts';
import { until } from '../../support/until.ts';
import { openBroker, type TestBroker } from '../../support/vhost.ts';
import { columns } from './behaviours.ts';
import { RawClient, tableOf } from './raw-client.ts';

type Step = (client: RawClient) => void;

interface Refusal {
  readonly when: string;
  readonly ask: readonly Step[];
  /** The words after the last answer of the broker; `VHOST` stands for the vhost's name. */
  readonly answer: string;
  readonly closes?: 'connection';
}

function ask<N extends MethodName>(name: N, fields: Partial<Fields<N>> = {}): Step {
  return (client) => client.send(1, name, fields);
}

function queue(name: string, given: Record<string, Field> = {}, more: Partial<Fields<'queue.declare'>> = {}): Step {
  return ask('queue.declare', { queue: name, arguments: tableOf(given), durable: true, ...more });
}

function exchange(name: string, more: Partial<Fields<'exchange.declare'>> = {}): Step {
  return ask('exchange.declare', { exchange: name, type: 'topic', ...more });
}

function publish(fields: Partial<Fields<'basic.publish'>>, properties = {}): Step {
  return (client) => client.publish(1, fields, Buffer.from('x'), properties);
}

const { bool, int, long, text } = field;
const ttl = { 'x-message-ttl': int(1000) };
const locked =
  "405 RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost 'VHOST'. It could be originally declared on another connection or the exclusive property value does not match that of the original declaration.";
const onDefault = '403 ACCESS_REFUSED - operation not permitted on the default exchange';
const noQueue = "404 NOT_FOUND - no queue 'nope' in vhost 'VHOST'";
const noExchange = "404 NOT_FOUND - no exchange 'nope' in vhost 'VHOST'";
const noneDeclared = '404 NOT_FOUND - no previously declared queue';
const inequivalent = (name: string, rest: string): string =>
  `406 PRECONDITION_FAILED - inequivalent arg '${name}' for queue 'q' in vhost 'VHOST': received ${rest}`;
const invalid = (name: string, rest: string): string =>
  `406 PRECONDITION_FAILED - invalid arg '${name}' for queue 'q' in vhost 'VHOST': ${rest}`;
const differs = (name: string, rest: string): string =>
  `406 PRECONDITION_FAILED - inequivalent arg '${name}' for exchange 'e' in vhost 'VHOST': received ${rest}`;

const refusals: readonly Refusal[] = [
  // declaring again with other values
  {
    when: 'durable differs',
    ask: [queue('q'), queue('q', {}, { durable: false })],
    answer: inequivalent('durable', "'false' but current is 'true'"),
  },
  {
    when: 'auto-delete differs',
    ask: [queue('q'), queue('q', {}, { autoDelete: true })],
    answer: inequivalent('auto_delete', "'true' but current is 'false'"),
  },
  { when: 'exclusive differs', ask: [queue('q'), queue('q', {}, { exclusive: true })], answer: locked },
  {
    when: 'an integer differs',
    ask: [queue('q', ttl), queue('q', { 'x-message-ttl': int(5) })],
    answer: inequivalent('x-message-ttl', "'5' but current is '1000'"),
  },
  {
    when: 'an argument is missing',
    ask: [queue('q', ttl), queue('q')],
    answer: inequivalent('x-message-ttl', "none but current is the value '1000' of type 'signedint'"),
  },
  {
    when: 'an argument is added',
    ask: [queue('q'), queue('q', ttl)],
    answer: inequivalent('x-message-ttl', "the value '1000' of type 'signedint' but current is none"),
  },
  {
    when: 'a text differs',
    ask: [queue('q', { 'x-dead-letter-exchange': text('a') }), queue('q', { 'x-dead-letter-exchange': text('b') })],
    answer: inequivalent('x-dead-letter-exchange', "'b' but current is 'a'"),
  },
  {
    when: 'a boolean is missing',
    ask: [queue('q', { 'x-single-active-consumer': bool(true) }), queue('q')],
    answer: inequivalent('x-single-active-consumer', "none but current is the value 'true' of type 'bool'"),
  },
  {
    when: 'the type differs',
    ask: [queue('q'), queue('q', { 'x-queue-type': text('quorum') })],
    answer: inequivalent('x-queue-type', "the value 'quorum' of type 'longstr' but current is none"),
  },
  {
    when: 'an integer is a text now',
    ask: [queue('q', ttl), queue('q', { 'x-message-ttl': text('1000') })],
    answer: inequivalent('x-message-ttl', "'1000' but current is '1000'"),
  },
  {
    when: 'an exchange type differs',
    ask: [exchange('e'), exchange('e', { type: 'direct' })],
    answer: differs('type', "'direct' but current is 'topic'"),
  },
  {
    when: 'an exchange is durable now',
    ask: [exchange('e'), exchange('e', { durable: true })],
    answer: differs('durable', "'true' but current is 'false'"),
  },
  {
    when: 'an exchange is auto-delete now',
    ask: [exchange('e'), exchange('e', { autoDelete: true })],
    answer: differs('auto_delete', "'true' but current is 'false'"),
  },
  {
    when: 'an exchange is internal now',
    ask: [exchange('e'), exchange('e', { internal: true })],
    answer: differs('internal', "'true' but current is 'false'"),
  },
  {
    when: 'an alternate exchange is added',
    ask: [exchange('e'), exchange('e', { arguments: tableOf({ 'alternate-exchange': text('y') }) })],
    answer: differs('alternate-exchange', "the value 'y' of type 'longstr' but current is none"),
  },
  // arguments that cannot be
  {
    when: 'a ttl is a text',
    ask: [queue('q', { 'x-message-ttl': text('abc') })],
    answer: invalid('x-message-ttl', '"expected integer, got longstr"'),
  },
  {
    when: 'a ttl is negative',
    ask: [queue('q', { 'x-message-ttl': int(-1) })],
    answer: invalid('x-message-ttl', '{value_negative,-1}'),
  },
  {
    when: 'a ttl is beyond ten years',
    ask: [queue('q', { 'x-message-ttl': long(315_360_000_001) })],
    answer: invalid('x-message-ttl', '{value_too_large,315360000001}'),
  },
  {
    when: 'an expiry is 0',
    ask: [queue('q', { 'x-expires': int(0) })],
    answer: invalid('x-expires', '{value_zero,0}'),
  },
  {
    when: 'a length is a fraction',
    ask: [queue('q', { 'x-max-length': { type: 'd', value: 1.5 } })],
    answer: invalid('x-max-length', '"expected integer, got double"'),
  },
  {
    when: 'an overflow is unknown',
    ask: [queue('q', { 'x-overflow': text('a') })],
    answer: invalid('x-overflow', 'invalid_overflow'),
  },
  {
    when: 'an overflow is an integer',
    ask: [queue('q', { 'x-overflow': int(1) })],
    answer: invalid('x-overflow', '{unacceptable_type,signedint}'),
  },
  {
    when: 'a dead-letter exchange is an integer',
    ask: [queue('q', { 'x-dead-letter-exchange': int(1) })],
    answer:
      "406 PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost 'VHOST'",
  },
  {
    when: 'a dead-letter key has no exchange',
    ask: [queue('q', { 'x-dead-letter-routing-key': text('a') })],
    answer: invalid('x-dead-letter-routing-key', 'routing_key_but_no_dlx_defined'),
  },
  {
    when: 'a priority is above 255',
    ask: [queue('q', { 'x-max-priority': int(256) })],
    answer: invalid('x-max-priority', '{max_value_exceeded,256}'),
  },
  {
    when: 'a single active consumer is a text',
    ask: [queue('q', { 'x-single-active-consumer': text('a') })],
    answer: invalid('x-single-active-consumer', '{unacceptable_type,longstr}'),
  },
  {
    when: 'a queue type is unknown',
    ask: [queue('q', { 'x-queue-type': text('foo') })],
    answer: invalid('x-queue-type', '"unsupported queue type \'foo\'"'),
  },
  {
    when: 'a classic queue has a delivery limit',
    ask: [queue('q', { 'x-delivery-limit': int(2) })],
    answer:
      "406 PRECONDITION_FAILED - invalid arg 'x-delivery-limit' for queue 'q' in vhost 'VHOST' of queue type rabbit_classic_queue",
  },
  {
    when: 'a quorum queue has priorities',
    ask: [queue('q', { 'x-queue-type': text('quorum'), 'x-max-priority': int(2) })],
    answer:
      "406 PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue 'q' in vhost 'VHOST' of queue type rabbit_quorum_queue",
  },
  {
    when: 'a quorum queue is transient',
    ask: [queue('q', { 'x-queue-type': text('quorum') }, { durable: false })],
    answer: "406 PRECONDITION_FAILED - invalid property 'non-durable' for queue 'q' in vhost 'VHOST'",
  },
  {
    when: 'a quorum queue is exclusive',
    ask: [queue('q', { 'x-queue-type': text('quorum') }, { exclusive: true })],
    answer: "406 PRECONDITION_FAILED - invalid property 'exclusive-owner' for queue 'q' in vhost 'VHOST'",
  },
  {
    when: 'a quorum queue is auto-delete',
    ask: [queue('q', { 'x-queue-type': text('quorum') }, { autoDelete: true })],
    answer: "406 PRECONDITION_FAILED - invalid property 'auto-delete' for queue 'q' in vhost 'VHOST'",
  },
  {
    when: 'an alternate exchange is an integer',
    ask: [exchange('e', { arguments: tableOf({ 'alternate-exchange': int(1) }) })],
    answer:
      "406 PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange 'e' in vhost 'VHOST'",
  },
  {
    when: 'an exchange type is unknown',
    ask: [exchange('e', { type: 'zzz' })],
    answer: "503 COMMAND_INVALID - unknown exchange type 'zzz'",
    closes: 'connection',
  },
  {
    when: 'an exchange type is empty',
    ask: [exchange('e', { type: '' })],
    answer: "503 COMMAND_INVALID - invalid exchange type ''",
    closes: 'connection',
  },
  // names
  {
    when: 'a queue name is reserved',
    ask: [queue('amq.foo')],
    answer: "403 ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'",
  },
  {
    when: 'an exchange name is reserved',
    ask: [exchange('amq.foo')],
    answer: "403 ACCESS_REFUSED - exchange name 'amq.foo' contains reserved prefix 'amq.*'",
  },
  {
    when: 'a predeclared exchange is deleted',
    ask: [ask('exchange.delete', { exchange: 'amq.direct' })],
    answer: "403 ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost 'VHOST' not allowed",
  },
  {
    when: 'the default exchange is declared',
    ask: [exchange('', { type: 'direct', durable: true })],
    answer: onDefault,
  },
  { when: 'the default exchange is looked for', ask: [exchange('', { passive: true })], answer: onDefault },
  { when: 'the default exchange is deleted', ask: [ask('exchange.delete', { exchange: '' })], answer: onDefault },
  {
    when: 'a queue is bound to the default exchange',
    ask: [queue('q'), ask('queue.bind', { queue: 'q', exchange: '' })],
    answer: onDefault,
  },
  {
    when: 'a queue is unbound from the default exchange',
    ask: [queue('q'), ask('queue.unbind', { queue: 'q', exchange: '' })],
    answer: onDefault,
  },
  {
    when: 'an exchange is bound to the default exchange',
    ask: [exchange('e'), ask('exchange.bind', { destination: 'e', source: '' })],
    answer: onDefault,
  },
  // what is missing
  { when: 'a queue looked for is missing', ask: [queue('nope', {}, { passive: true })], answer: noQueue },
  { when: 'an exchange looked for is missing', ask: [exchange('nope', { passive: true })], answer: noExchange },
  { when: 'a queue to purge is missing', ask: [ask('queue.purge', { queue: 'nope' })], answer: noQueue },
  {
    when: 'a queue to bind is missing',
    ask: [ask('queue.bind', { queue: 'nope', exchange: 'amq.direct' })],
    answer: noQueue,
  },
  {
    when: 'an exchange to bind to is missing',
    ask: [queue('q'), ask('queue.bind', { queue: 'q', exchange: 'nope' })],
    answer: noExchange,
  },
  {
    when: 'a destination exchange is missing',
    ask: [ask('exchange.bind', { destination: 'nope', source: 'amq.direct' })],
    answer: noExchange,
  },
  { when: 'a queue to consume is missing', ask: [ask('basic.consume', { queue: 'nope' })], answer: noQueue },
  { when: 'a queue to get from is missing', ask: [ask('basic.get', { queue: 'nope' })], answer: noQueue },
  { when: 'an exchange to publish to is missing', ask: [publish({ exchange: 'nope' })], answer: noExchange },
  { when: 'no queue was declared before', ask: [ask('basic.get', { queue: '' })], answer: noneDeclared },
  { when: 'no queue was declared before a delete', ask: [ask('queue.delete', { queue: '' })], answer: noneDeclared },
  // what is in use
  {
    when: 'a queue with a consumer is deleted if unused',
    ask: [queue('q'), ask('basic.consume', { queue: 'q' }), ask('queue.delete', { queue: 'q', ifUnused: true })],
    answer: "406 PRECONDITION_FAILED - queue 'q' in vhost 'VHOST' in use",
  },
  {
    when: 'a queue with a message is deleted if empty',
    ask: [queue('q'), publish({ routingKey: 'q' }), ask('queue.delete', { queue: 'q', ifEmpty: true })],
    answer: "406 PRECONDITION_FAILED - queue 'q' in vhost 'VHOST' not empty",
  },
  {
    when: 'an exchange with a binding is deleted if unused',
    ask: [
      queue('q'),
      exchange('e'),
      ask('queue.bind', { queue: 'q', exchange: 'e' }),
      ask('exchange.delete', { exchange: 'e', ifUnused: true }),
    ],
    answer: "406 PRECONDITION_FAILED - exchange 'e' in vhost 'VHOST' in use",
  },
  // publishing
  {
    when: 'an exchange is internal',
    ask: [exchange('e', { internal: true }), publish({ exchange: 'e' })],
    answer: "403 ACCESS_REFUSED - cannot publish to internal exchange 'e' in vhost 'VHOST'",
  },
  {
    when: 'an expiration is no number',
    ask: [publish({}, { expiration: 'abc' })],
    answer: "406 PRECONDITION_FAILED - invalid expiration 'abc': no_integer",
  },
  {
    when: 'an expiration is empty',
    ask: [publish({}, { expiration: '' })],
    answer: "406 PRECONDITION_FAILED - invalid expiration '': no_integer",
  },
  {
    when: 'an expiration is negative',
    ask: [publish({}, { expiration: '-1' })],
    answer: "406 PRECONDITION_FAILED - invalid expiration '-1': {value_negative,-1}",
  },
  {
    when: 'an expiration is half a number',
    ask: [publish({}, { expiration: '12abc' })],
    answer: `406 PRECONDITION_FAILED - invalid expiration '12abc': {leftover_string,"abc"}`,
  },
  {
    when: 'an expiration is beyond ten years',
    ask: [publish({}, { expiration: '315360000001' })],
    answer: "406 PRECONDITION_FAILED - invalid expiration '315360000001': {value_too_large,315360000001}",
  },
  {
    when: 'a user id is another’s',
    ask: [publish({}, { userId: 'bob' })],
    answer: "406 PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'",
  },
  {
    when: 'CC is no list',
    ask: [publish({}, { headers: tableOf({ CC: text('a') }) })],
    answer: '406 PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}',
  },
  {
    when: 'a publish is immediate',
    ask: [publish({ exchange: 'amq.direct', immediate: true })],
    answer: '540 NOT_IMPLEMENTED - immediate=true',
    closes: 'connection',
  },
  // consuming
  {
    when: 'a consumer priority is a text',
    ask: [queue('q'), ask('basic.consume', { queue: 'q', arguments: tableOf({ 'x-priority': text('a') }) })],
    answer: invalid('x-priority', '"expected integer, got longstr"'),
  },
  {
    when: 'a quorum queue is consumed under a shared prefetch',
    ask: [
      queue('q', { 'x-queue-type': text('quorum') }),
      ask('basic.qos', { prefetchCount: 1, global: true }),
      ask('basic.consume', { queue: 'q' }),
    ],
    answer: "540 NOT_IMPLEMENTED - queue 'q' in vhost 'VHOST' does not support global qos",
    closes: 'connection',
  },
  {
    when: 'a quorum queue with a single active consumer is got from',
    ask: [
      queue('q', { 'x-queue-type': text('quorum'), 'x-single-active-consumer': bool(true) }),
      ask('basic.get', { queue: 'q' }),
    ],
    answer:
      "405 RESOURCE_LOCKED - cannot obtain access to locked queue 'q' in vhost 'VHOST'. basic.get operations are not supported by quorum queues with single active consumer",
  },
  {
    when: 'a prefetch is in bytes',
    ask: [ask('basic.qos', { prefetchSize: 10 })],
    answer: '540 NOT_IMPLEMENTED - prefetch_size!=0 (10)',
    closes: 'connection',
  },
  {
    when: 'an unknown tag is acknowledged',
    ask: [ask('basic.ack', { deliveryTag: 5 })],
    answer: '406 PRECONDITION_FAILED - unknown delivery tag 5',
  },
  {
    when: 'tag 0 alone is acknowledged',
    ask: [ask('basic.ack', { deliveryTag: 0 })],
    answer: '406 PRECONDITION_FAILED - unknown delivery tag 0',
  },
  {
    when: 'an unknown tag and all before it are acknowledged',
    ask: [ask('basic.ack', { deliveryTag: 5, multiple: true })],
    answer: '406 PRECONDITION_FAILED - unknown delivery tag 5',
  },
  {
    when: 'an unknown tag is rejected',
    ask: [ask('basic.reject', { deliveryTag: 5 })],
    answer: '406 PRECONDITION_FAILED - unknown delivery tag 5',
  },
  {
    when: 'recovery is without requeue',
    ask: [ask('basic.recover', { requeue: false })],
    answer: '540 NOT_IMPLEMENTED - requeue=false',
    closes: 'connection',
  },
  {
    when: 'the flow is to stop',
    ask: [ask('channel.flow', { active: false })],
    answer: '540 NOT_IMPLEMENTED - active=false',
    closes: 'connection',
  },
  {
    when: 'x-match is unknown',
    ask: [
      queue('q'),
      ask('queue.bind', { queue: 'q', exchange: 'amq.headers', arguments: tableOf({ 'x-match': text('foo') }) }),
    ],
    answer:
      '406 PRECONDITION_FAILED - Invalid x-match field value <<"foo">>; expected all, any, all-with-x, or any-with-x',
  },
  // the course of things
  {
    when: 'a commit is outside a transaction',
    ask: [ask('tx.commit')],
    answer: '406 PRECONDITION_FAILED - channel is not transactional',
  },
  {
    when: 'a channel is opened twice',
    ask: [ask('channel.open')],
    answer: "504 CHANNEL_ERROR - second 'channel.open' seen",
    closes: 'connection',
  },
  {
    when: 'a channel was never opened',
    ask: [(client) => client.send(5, 'basic.qos', {})],
    answer: "504 CHANNEL_ERROR - expected 'channel.open'",
    closes: 'connection',
  },
  {
    when: 'a client sends a server’s method',
    ask: [ask('basic.qos-ok')],
    answer: '503 COMMAND_INVALID - unimplemented method',
    closes: 'connection',
  },
  {
    when: 'a channel’s method comes on channel 0',
    ask: [(client) => client.send(0, 'basic.qos', {})],
    answer: '504 CHANNEL_ERROR - unexpected method in connection state running',
    closes: 'connection',
  },
  {
    when: 'a connection is opened twice',
    ask: [(client) => client.send(0, 'connection.open', { virtualHost: '/' })],
    answer: '504 CHANNEL_ERROR - unexpected method in connection state running',
    closes: 'connection',
  },
];

describe.each(columns())('Refusals by $kind', (offer) => {
  const shared: { broker?: TestBroker } = {};
  beforeAll(async () => {
    shared.broker = await openBroker(offer);
  });
  afterAll(() => shared.broker?.close());

  it.each(refusals)('when $when', async ({ ask: steps, answer, closes = 'channel' }) => {
    const { broker } = shared;
    if (broker === undefined) throw new Error('The broker did not start.');
    await forget(broker.url);
    await using client = await RawClient.channel(broker.url);
    for (const step of steps) step(client);
    const seen = await untilClose(client);
    const isWorded = offer.kind === 'embedded' || offer.version.startsWith('3.10.');
    const words = isWorded ? answer.replaceAll('VHOST', broker.vhost) : answer.slice(0, 3);
    expect(isWorded ? `${seen.code} ${seen.text}` : String(seen.code)).toBe(words);
    expect(seen.closes).toBe(closes);
  });
});

/** Every case begins without the queue `q` and the exchange `e`; an exclusive one goes a little after its connection. */
async function forget(url: string): Promise<void> {
  await until(
    async () => {
      await using client = await RawClient.channel(url);
      await client.call(1, 'queue.delete', { queue: 'q' }, 'queue.delete-ok');
      await client.call(1, 'exchange.delete', { exchange: 'e' }, 'exchange.delete-ok');
      return true;
    },
    { what: 'a clean start' },
  );
}

/** Passes over the answers to what was allowed. */
async function untilClose(client: RawClient): Promise<{ closes: string; code: number; text: string }> {
  for (;;) {
    const seen = await client.next();
    if ('end' in seen) throw new Error('The connection ended without a word.');
    const { method } = seen;
    if (method.name !== 'channel.close' && method.name !== 'connection.close') continue;
    return {
      closes: method.name === 'channel.close' ? 'channel' : 'connection',
      code: method.replyCode,
      text: method.replyText,
    };
  }
}
