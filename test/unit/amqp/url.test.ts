import { describe, expect, it } from 'vitest';
import { maskedUrl, parseBrokerUrls } from '../../../src/amqp/url.ts';
import { ImproperlyConfigured } from '../../../src/core/errors.ts';

const one = (text: string) => {
  const [url] = parseBrokerUrls(text);
  if (url === undefined) throw new Error('no url');
  return url;
};

describe('a broker URL', () => {
  it('needs nothing but its scheme', () => {
    expect(one('amqp://')).toMatchObject({
      tls: false,
      hostname: 'localhost',
      port: 5672,
      username: 'guest',
      password: 'guest',
      vhost: '/',
    });
    expect(one('amqp')).toEqual(one('amqp://'));
    expect(one('amqps://')).toMatchObject({ tls: true, port: 5671 });
  });

  it.each([
    ['amqp://h', '/'],
    ['amqp://h/', '/'],
    ['amqp://h//', '/'],
    ['amqp://h/app', 'app'],
    ['amqp://h//app', '/app'],
    ['amqp://h/%2Fapp', '/app'],
    ['amqp://h/%2F', '/'],
    ['amqp://h/a%20b%25', 'a b%'],
    ['amqp://h/app?heartbeat=5', 'app'],
  ])('%s names the virtual host %s', (text, vhost) => {
    expect(one(text).vhost).toBe(vhost);
  });

  it.each(['amqp', 'pyamqp', 'librabbitmq', 'AMQP'])('is plain AMQP with the scheme %s', (scheme) => {
    expect(one(`${scheme}://u:p@h:1234/v`)).toMatchObject({ tls: false, hostname: 'h', port: 1234, vhost: 'v' });
  });

  it('decodes user and password, which may hold any character in percent form and most without', () => {
    expect(one('amqp://us%40er:p%3A%2F%40%3Fw@h')).toMatchObject({ username: 'us@er', password: 'p:/@?w' });
    expect(one('amqp://user:p#a:b?c@d@h:1/v')).toMatchObject({
      username: 'user',
      password: 'p#a:b?c@d',
      hostname: 'h',
    });
    expect(one('amqp://user@h')).toMatchObject({ username: 'user', password: 'guest' });
  });

  it('takes an IPv6 address in brackets', () => {
    expect(one('amqp://[::1]:5673/v')).toMatchObject({ hostname: '::1', port: 5673, vhost: 'v' });
  });

  it('takes heartbeat, timeouts and limits as options', () => {
    expect(one('amqp://h/v?heartbeat=7&connection_timeout=2500&channel_max=10&frame_max=8192')).toMatchObject({
      heartbeatSeconds: 7,
      connectTimeoutSeconds: 2.5,
      channelMax: 10,
      frameMax: 8192,
    });
  });

  it('comes alone, in a list, or with others between semicolons', () => {
    expect(parseBrokerUrls('amqp://a;amqp://b').map(({ hostname }) => hostname)).toEqual(['a', 'b']);
    expect(parseBrokerUrls(['amqp://a;amqp://b', 'amqp://c']).map(({ hostname }) => hostname)).toEqual(['a', 'b', 'c']);
  });

  it.each([
    ['redis://localhost', /begins with 'redis:\/\/'.*AMQP only/],
    ['amqp://h:port', /port from 1 to 65535/],
    ['amqp://h:0', /port from 1 to 65535/],
    ['amqp://h/%zz', /percent-encoded/],
    ['amqp://h?colour=red', /'colour'/],
    ['amqp://h?heartbeat=soon', /'heartbeat'.*number/],
    ['', /no broker URL/],
    [';', /no broker URL/],
  ])('%j is refused with a sentence that says why', (text, why) => {
    expect(() => parseBrokerUrls(text)).toThrow(ImproperlyConfigured);
    expect(() => parseBrokerUrls(text)).toThrow(why);
  });

  it('never shows its password, neither in an error nor masked', () => {
    expect(maskedUrl(one('amqp://joe:s3cret@h:1/a%2Fb'))).toBe('amqp://joe:**@h:1/a%2Fb');
    expect(maskedUrl(one('amqps://'))).toBe('amqps://guest:**@localhost:5671//');
    for (const text of ['amqp://joe:s3/cret@h:x', 'amqp://joe:s3cret%@h', 'nope://joe:s3cret@h']) {
      try {
        parseBrokerUrls(text);
        expect.unreachable();
      } catch (error) {
        expect(String(error)).not.toContain('cret');
      }
    }
  });
});
