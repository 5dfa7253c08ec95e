/** Serializers, compressions and types of a user's own, and packages that are loaded when they are needed. */
import { describe, expect, it } from 'vitest';
import { Celery, ContentDisallowed, EncodeError } from '../../../src/index.ts';

const reversed = (text: string): string => [...text].reverse().join('');
const mirror = {
  name: 'mirror',
  contentType: 'text/x-mirror',
  contentEncoding: 'utf-8',
  encode: (value: unknown) => reversed(JSON.stringify(value)),
  decode: (text: string | Uint8Array) => JSON.parse(reversed(String(text))),
};
const flip = {
  contentType: 'application/x-flip',
  aliases: ['flip'],
  compress: (body: Uint8Array) => body.map((byte) => byte ^ 0xff),
  decompress: (body: Uint8Array) => body.map((byte) => byte ^ 0xff),
};

describe('a serializer that was registered', () => {
  it('writes and is read where acceptContent names it', () => {
    const app = new Celery('t', { acceptContent: ['json', 'mirror'] });
    app.serializers.register(mirror);
    const { body, contentType, contentEncoding } = app.codec.serialize([1, 'ü'], 'mirror');
    expect(Buffer.from(body).toString()).toBe(']"ü",1[');
    expect(app.codec.deserialize(body, contentType, contentEncoding)).toEqual([1, 'ü']);
  });

  it('is not read where acceptContent does not name it', () => {
    const app = new Celery('t');
    app.serializers.register(mirror);
    const { body, contentType, contentEncoding } = app.codec.serialize([1], 'mirror');
    expect(() => app.codec.deserialize(body, contentType, contentEncoding)).toThrow(ContentDisallowed);
  });

  it('stays when the settings change, and holders of the codec keep theirs', () => {
    const app = new Celery('t');
    const before = app.codec;
    app.serializers.register(mirror);
    app.compressions.register(flip);
    app.conf.taskTimeLimit = 5;
    expect(app.codec).toBe(before);
    app.conf.acceptContent = ['mirror'];
    expect(app.codec).not.toBe(before);
    expect([...app.codec.accept]).toEqual(['text/x-mirror']);
    expect(app.codec.compress(Buffer.from('x'), 'flip').contentType).toBe('application/x-flip');
  });

  it('belongs to its app', () => {
    const [one, other] = [new Celery('one'), new Celery('other')];
    one.serializers.register(mirror);
    expect(() => other.codec.serialize(1, 'mirror')).toThrow(EncodeError);
  });

  it('is prepared before the app is used', async () => {
    const app = new Celery('t');
    const prepared: string[] = [];
    app.serializers.register({ ...mirror, prepare: async () => void prepared.push('mirror') });
    app.compressions.register({ ...flip, prepare: async () => void prepared.push('flip') });
    await app.loaded;
    expect(prepared).toEqual(['mirror', 'flip']);
  });

  it('may be a type inside JSON', () => {
    class Money {
      readonly cents: number;
      constructor(cents: number) {
        this.cents = cents;
      }
    }
    const app = new Celery('t');
    app.serializers.registerType({
      marker: 'money',
      matches: (value) => value instanceof Money,
      encode: (value) => (value as Money).cents,
      decode: (cents) => new Money(Number(cents)),
    });
    const { body } = app.codec.serialize({ price: new Money(5) }, 'json');
    expect(Buffer.from(body).toString()).toBe('{"price":{"__type__":"money","__value__":5}}');
    const back = app.codec.deserialize(body, 'application/json', 'utf-8') as { price: Money };
    expect(back.price).toBeInstanceOf(Money);
  });
});

describe('names in the settings', () => {
  it.each([
    ['pickle', { taskSerializer: 'pickle' }, /pickle is refused/],
    ['pickle among what is accepted', { acceptContent: ['json', 'pickle'] }, /pickle is refused/],
    ['pickle for results', { resultSerializer: 'pickle' }, /pickle is refused/],
    ['an unknown serializer', { taskSerializer: 'xml' }, /no serializer 'xml'; known: json, yaml/],
    ['an unknown compression', { taskCompression: 'rar' }, /no compression 'rar'; known: /],
  ])('of %s stop the app from loading', async (_, settings, message) => {
    await expect(new Celery('t', settings).loaded).rejects.toThrow(message);
  });
});
