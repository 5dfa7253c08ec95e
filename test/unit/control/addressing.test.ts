/** Whom a request is for, and the names and flags of the queues, which every peer on the broker must agree on. */
import { describe, expect, it } from 'vitest';
import { isAddressed, nodeQueue, replyExchange, replyQueue, requestExchange } from '../../../src/control/index.ts';

const node = 'w1@host.example';
const request = (given: { destination?: string[]; pattern?: string; matcher?: 'glob' | 'pcre' }) => ({
  destination: given.destination,
  pattern: given.pattern,
  matcher: given.matcher,
});

describe('a request', () => {
  it.each([
    ['everyone', {}, true],
    ['everyone, by an empty list', { destination: [] }, true],
    ['this node', { destination: ['w2@host.example', node] }, true],
    ['another node', { destination: ['w2@host.example'] }, false],
    ['a glob that fits', { pattern: 'w?@*.example', matcher: 'glob' as const }, true],
    ['a glob that does not', { pattern: 'w2@*', matcher: 'glob' as const }, false],
    ['a pattern without a matcher, which is everyone', { pattern: 'nobody' }, true],
    ['a destination, whatever the pattern', { destination: [node], pattern: 'nobody', matcher: 'glob' as const }, true],
    ['a regular expression, which is off', { pattern: '.*', matcher: 'pcre' as const }, false],
  ])('is for %s', (_, given, expected) => {
    expect(isAddressed(request(given), { node })).toBe(expected);
  });

  it('may use regular expressions, anchored at the start, where that is allowed', () => {
    const here = { node, allowsRegularExpressions: true };
    expect(isAddressed(request({ pattern: 'w[12]@', matcher: 'pcre' }), here)).toBe(true);
    expect(isAddressed(request({ pattern: 'host', matcher: 'pcre' }), here)).toBe(false);
    expect(isAddressed(request({ pattern: 'a|host', matcher: 'pcre' }), here)).toBe(false);
    expect(isAddressed(request({ pattern: '(unclosed', matcher: 'pcre' }), here)).toBe(false);
  });

  it('cannot keep the worker busy with a hostile glob', () => {
    const started = performance.now();
    isAddressed(request({ pattern: `${'*a'.repeat(5_000)}b`, matcher: 'glob' }), { node: 'a'.repeat(255) });
    isAddressed(request({ pattern: '*'.repeat(1_000_000), matcher: 'glob' }), { node });
    expect(performance.now() - started).toBeLessThan(100);
  });
});

describe('the topology of remote control', () => {
  it('has the exchanges of Celery, which are not durable', () => {
    expect(requestExchange({})).toMatchObject({
      name: 'celery.pidbox',
      type: 'fanout',
      durable: false,
      autoDelete: false,
    });
    expect(replyExchange({})).toMatchObject({ name: 'reply.celery.pidbox', type: 'direct', durable: false });
    expect(requestExchange({ namespace: 'jobs' }).name).toBe('jobs.pidbox');
  });

  it('has one exclusive queue a node and one a client', () => {
    const flags = { durable: false, exclusive: true, autoDelete: true, noAck: true };
    expect(nodeQueue(node, {})).toMatchObject({ name: 'w1@host.example.celery.pidbox', routingKey: '', ...flags });
    expect(nodeQueue(node, {}).queueArguments).toEqual({ 'x-message-ttl': 300_000, 'x-expires': 10_000 });
    expect(replyQueue('oid', {})).toMatchObject({ name: 'oid.reply.celery.pidbox', routingKey: 'oid', ...flags });
    expect(nodeQueue(node, {}, '.0a1b2c3d').name).toBe('w1@host.example.celery.pidbox.0a1b2c3d');
  });

  it('follows the settings', () => {
    const queue = nodeQueue(node, { queueTtl: 5, queueExpires: 60, queueExclusive: false, queueDurable: true });
    expect(queue).toMatchObject({ durable: true, exclusive: false, autoDelete: false });
    expect(queue.queueArguments).toEqual({ 'x-message-ttl': 5_000, 'x-expires': 60_000 });
  });
});
