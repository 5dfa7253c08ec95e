import { describe, expect, it } from 'vitest';
import { Broadcast, Exchange, Queue } from '../../../src/amqp/topology.ts';
import { ImproperlyConfigured } from '../../../src/core/errors.ts';

describe('a queue', () => {
  it('without options is durable and bound to a durable direct exchange of its name, by its name', () => {
    const queue = new Queue('mail');
    expect(queue).toMatchObject({ durable: true, exclusive: false, autoDelete: false, noAck: false });
    expect(queue.exchange).toMatchObject({ name: 'mail', type: 'direct', durable: true, autoDelete: false });
    expect(queue.routingKey).toBe('mail');
    expect(queue.bindings).toMatchObject([{ exchange: { name: 'mail' }, routingKey: 'mail', arguments: {} }]);
    expect(queue.queueArguments).toEqual({});
    expect([queue.hasOwnExchange, queue.hasOwnRoutingKey]).toEqual([false, false]);
  });

  it('says its durations in seconds and its arguments in milliseconds', () => {
    const queue = new Queue('q', {
      expires: 60,
      messageTtl: 2 ** 27,
      maxLength: 5,
      maxLengthBytes: 9,
      maxPriority: 10,
    });
    expect(queue.queueArguments).toEqual({
      'x-expires': 60_000,
      'x-message-ttl': 134_217_728_000,
      'x-max-length': 5,
      'x-max-length-bytes': 9,
      'x-max-priority': 10,
    });
    expect(queue).toMatchObject({ expires: 60, messageTtl: 2 ** 27, maxLength: 5, maxLengthBytes: 9, maxPriority: 10 });
  });

  it('reads its limits back from raw arguments too', () => {
    const queue = new Queue('q', {
      queueArguments: { 'x-expires': 1500, 'x-max-priority': 3, 'x-queue-type': 'quorum' },
    });
    expect(queue).toMatchObject({ expires: 1.5, maxPriority: 3, queueType: 'quorum' });
  });

  it('lets an option win over the argument it stands for', () => {
    expect(
      new Queue('q', { maxPriority: 5, queueArguments: { 'x-max-priority': 3, 'x-other': 'kept' } }).queueArguments,
    ).toEqual({ 'x-max-priority': 5, 'x-other': 'kept' });
  });

  it('names its dead-letter exchange by value or by name', () => {
    const options = { deadLetterRoutingKey: 'k' };
    const wanted = { 'x-dead-letter-exchange': 'dead', 'x-dead-letter-routing-key': 'k' };
    expect(new Queue('q', { ...options, deadLetterExchange: 'dead' }).queueArguments).toEqual(wanted);
    expect(new Queue('q', { ...options, deadLetterExchange: new Exchange('dead') }).queueArguments).toEqual(wanted);
  });

  it('takes several bindings beside its own', () => {
    const queue = new Queue('q', {
      exchange: new Exchange('a', { type: 'topic' }),
      routingKey: 'x.#',
      bindings: [
        { exchange: new Exchange('b'), routingKey: 'y' },
        { exchange: 'c', arguments: { 'x-match': 'all' } },
      ],
    });
    expect(queue.bindings).toMatchObject([
      { exchange: { name: 'a' }, routingKey: 'x.#' },
      { exchange: { name: 'b', noDeclare: false }, routingKey: 'y' },
      { exchange: { name: 'c', noDeclare: true }, routingKey: '', arguments: { 'x-match': 'all' } },
    ]);
  });

  it('takes the first of its bindings for its exchange when it has none', () => {
    const queue = new Queue('q', { bindings: [{ exchange: new Exchange('a', { type: 'topic' }), routingKey: 'k' }] });
    expect(queue).toMatchObject({ exchange: { name: 'a' }, routingKey: 'k', hasOwnExchange: true });
    expect(queue.bindings).toHaveLength(1);
  });

  it('is never bound to the exchange without a name', () => {
    expect(new Queue('q', { exchange: '' }).bindings).toEqual([]);
  });

  it('has a type and arguments for an exchange given by name or by none', () => {
    const options = { exchangeType: 'topic', exchangeArguments: { 'alternate-exchange': 'other' } };
    expect(new Queue('q', { ...options, exchange: 'e' }).exchange).toMatchObject({ name: 'e', type: 'topic' });
    expect(new Queue('q', options).exchange.arguments).toEqual({ 'alternate-exchange': 'other' });
    expect(() => new Queue('q', { ...options, exchange: new Exchange('e') })).toThrow(/say these of the Exchange/);
  });

  it('does not change, and is copied under changes', () => {
    const queue = new Queue('q', { maxPriority: 5, queueArguments: { 'x-queue-mode': 'lazy' } });
    const changed = queue.with({ exchange: 'e', maxPriority: 7 });
    expect(changed).toMatchObject({ name: 'q', maxPriority: 7, exchange: { name: 'e' }, hasOwnExchange: true });
    expect(changed.queueArguments).toEqual({ 'x-queue-mode': 'lazy', 'x-max-priority': 7 });
    expect(queue).toMatchObject({ maxPriority: 5, exchange: { name: 'q' } });
    expect(() => Object.assign(queue, { name: 'other' })).toThrow(TypeError);
    expect(() => Object.assign(queue.queueArguments, { 'x-expires': 1 })).toThrow(TypeError);
  });

  it.each([
    [{ expires: 0 }, /x-expires.*from 1/],
    [{ messageTtl: -1 }, /x-message-ttl/],
    [{ maxPriority: 256 }, /x-max-priority.*1 to 255/],
    [{ maxLength: 1.5 }, /x-max-length/],
    [{ queueArguments: { 'x-message-ttl': 'soon' } }, /x-message-ttl.*'?soon/],
    [{ queueType: 'quorum', durable: false }, /quorum queue cannot be durable: false/],
    [{ queueArguments: { 'x-queue-type': 'quorum' }, exclusive: true }, /quorum queue cannot be exclusive/],
    [{ queueType: 'stream', autoDelete: true }, /stream queue cannot be autoDelete/],
    [{ routingkey: 'k' }, /no option 'routingkey'. Did you mean 'routingKey'/],
  ])('with %j is refused before a broker sees it', (options, why) => {
    expect(() => new Queue('q', options as object)).toThrow(ImproperlyConfigured);
    expect(() => new Queue('q', options as object)).toThrow(why);
  });

  it('has a name of at most 255 bytes', () => {
    expect(new Queue('ü'.repeat(127)).name).toHaveLength(127);
    expect(() => new Queue('ü'.repeat(128))).toThrow(/255 bytes.*256/);
  });
});

describe('an exchange', () => {
  it('is durable and direct', () => {
    expect(new Exchange('e')).toMatchObject({ type: 'direct', durable: true, autoDelete: false, internal: false });
  });

  it('takes its arguments under either name, and an alternate exchange by value or by name', () => {
    expect(new Exchange('e', { arguments: { a: 1 }, exchangeArguments: { b: 2 } }).arguments).toEqual({ a: 1, b: 2 });
    expect(new Exchange('e', { alternateExchange: 'other' }).arguments).toEqual({ 'alternate-exchange': 'other' });
    expect(new Exchange('e', { alternateExchange: new Exchange('other') }).arguments).toEqual({
      'alternate-exchange': 'other',
    });
  });

  it('takes messages from other exchanges', () => {
    const exchange = new Exchange('e', { bindings: [{ exchange: new Exchange('source'), routingKey: 'k' }] });
    expect(exchange.bindings).toMatchObject([{ exchange: { name: 'source' }, routingKey: 'k' }]);
  });

  it.each([
    ['transient', 1],
    ['persistent', 2],
    [1, 1],
    [undefined, undefined],
  ] as const)('knows delivery mode %s as %s', (given, wanted) => {
    expect(new Exchange('e', given === undefined ? {} : { deliveryMode: given }).deliveryMode).toBe(wanted);
  });

  it('refuses options it does not know', () => {
    expect(() => new Exchange('e', { tpye: 'topic' } as object)).toThrow(/no option 'tpye'. Did you mean 'type'/);
  });
});

describe('a broadcast', () => {
  it('is found by its name, and is a fanout exchange of that name for senders', () => {
    const everyone = new Broadcast('everyone');
    expect(everyone).toMatchObject({ name: 'everyone', alias: 'everyone', isBroadcast: true, autoDelete: true });
    expect(everyone.exchange).toMatchObject({ name: 'everyone', type: 'fanout' });
  });

  it('gives each consumer an auto-delete queue of its own, bound to that exchange', () => {
    const queue = new Broadcast('everyone').forConsumer(() => '1234');
    expect(queue).toMatchObject({ name: 'bcast.1234', alias: 'everyone', autoDelete: true, durable: true });
    expect(queue.bindings).toMatchObject([{ exchange: { name: 'everyone', type: 'fanout' }, routingKey: '' }]);
  });

  it('takes a fixed queue name, or one that each consumer adds to', () => {
    expect(new Broadcast('b', { queue: 'here' }).forConsumer(() => '1').name).toBe('here');
    expect(new Broadcast('b', { queue: 'here', unique: true }).forConsumer(() => '1').name).toBe('here.1');
  });

  it('stays a broadcast under changes', () => {
    const changed = new Broadcast('b', { queue: 'here' }).with({ maxLength: 3 });
    expect(changed).toBeInstanceOf(Broadcast);
    expect(changed.forConsumer(() => '1')).toMatchObject({ name: 'here', maxLength: 3 });
  });
});
